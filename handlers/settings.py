"""The one place where a model server reads its settings, all from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .contract.errors import DeviceError, SettingsError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
MEBIBYTE = 1024 * 1024
MAX_REQUEST_MB = 2047
"""TorchServe counts a request's bytes in a signed 32-bit number."""


@dataclass(frozen=True)
class Settings:
    """What the deployment decides about a model server.

    Attributes:
        provider: ONNX Runtime execution provider, from DOKUEI_EXECUTION_PROVIDER (cpu, cuda or tensorrt).
        threads: CPU threads of one inference, from DOKUEI_THREADS; by default what this process may use.
        max_request_bytes: longest request body taken, from DOKUEI_MAX_REQUEST_MB (MiB; 512 by default).
        mounted_later: whether the archive may appear after the start, from MODEL_INIT_MODE: KServe sets it to `async`
            where a sidecar mounts the model's image.
        trusted_keys: PEM blocks of those who sign archives, from DOKUEI_TRUSTED_KEYS; where empty, none is asked for.
    """

    provider: str
    threads: int
    max_request_bytes: int
    mounted_later: bool
    trusted_keys: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the settings.

        Raises:
            DeviceError: an execution provider that is not one of those above.
            SettingsError: a number that is not one, or out of its range.
        """
        device = os.environ.get("DOKUEI_EXECUTION_PROVIDER", "cpu")
        if device not in PROVIDERS:
            raise DeviceError(f"DOKUEI_EXECUTION_PROVIDER is {device!r}; it is one of {', '.join(PROVIDERS)}")
        return cls(
            provider=PROVIDERS[device],
            threads=_whole_number("DOKUEI_THREADS", len(os.sched_getaffinity(0)), 1024),
            max_request_bytes=_whole_number("DOKUEI_MAX_REQUEST_MB", 512, MAX_REQUEST_MB) * MEBIBYTE,
            mounted_later=os.environ.get("MODEL_INIT_MODE") == "async",
            trusted_keys=os.environ.get("DOKUEI_TRUSTED_KEYS", ""),
        )


def _whole_number(variable: str, default: int, most: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise SettingsError(f"{variable} is {text!r}; it is a whole number from 1 to {most}")
    return int(text)
