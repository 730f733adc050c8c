"""Receiving an upload: multipart form data, streamed to files, with limits that hold while it arrives."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, get_args

from anyio.to_thread import run_sync
from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .analysis import Order
from .decode.limits import MIB, DecodeLimits, UploadedFile
from .errors import InvalidUpload, TooLarge
from .result import Language

FORM_OVERHEAD_BYTES = 4 * MIB
"""What part headers and small fields may take beside the files."""
FIELDS = ("files", "language", "model", "department")
Owner = Callable[[str | None], str | None]
"""From the department that is asked for, if one is, to the one whose study it is."""

OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One image, the images of one series, or one zip of either: DICOM, NIfTI, "
                            "PNG, JPEG or TIFF",
                        },
                        "language": {"type": "string", "enum": list(get_args(Language)), "default": "en"},
                        "model": {"type": "string", "description": "Name of a model, instead of finding it"},
                        "department": {
                            "type": "string",
                            "description": "One of the user's departments, if not the first, whose study it is",
                        },
                    },
                }
            }
        },
    }
}


class Upload:
    """A received upload on disk; a context that removes its files.

    Attributes:
        order: what is asked for.
    """

    def __init__(self, folder: tempfile.TemporaryDirectory[str], order: Order) -> None:
        self._folder = folder
        self.order = order

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


async def receive(request: Request, limits: DecodeLimits, owner: Owner) -> Upload:
    """Receive the form of `request`.

    Args:
        owner: tells whose study it is to be.

    Raises:
        NotAllowed: as `owner`.
        InvalidUpload: not multipart, no files, or a field that is wrong or unknown.
        TooLarge: more bytes than the limits, found before they are all read.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidUpload("send the images as multipart/form-data, in a field named 'files'")
    most = limits.upload_bytes + FORM_OVERHEAD_BYTES
    if int(request.headers.get("content-length") or 0) > most:
        raise _too_large(limits)
    try:
        form = await MultiPartParser(
            request.headers, _limited(request, most, limits), max_files=limits.files + 1, max_fields=len(FIELDS)
        ).parse()
    except MultiPartException as error:
        raise InvalidUpload(f"the form data cannot be read: {error.message}") from None
    try:
        return await _received(form, owner)
    finally:
        await form.close()


async def _received(form: FormData, owner: Owner) -> Upload:
    for field in form:
        if field not in FIELDS:
            raise InvalidUpload(f"a field is not known; there are {', '.join(FIELDS)}")
    language = form.get("language", "en")
    if language not in get_args(Language):
        raise InvalidUpload(f"language is one of {', '.join(get_args(Language))}")
    model, department = form.get("model") or None, form.get("department") or None
    parts = form.getlist("files")
    files = [part for part in parts if isinstance(part, UploadFile)]
    if not files or len(files) < len(parts) or isinstance(model, UploadFile) or isinstance(department, UploadFile):
        raise InvalidUpload("send at least one file in the field 'files', and text in the other fields")
    department = owner(department)
    folder = tempfile.TemporaryDirectory(prefix="dokuei-upload-")
    try:
        stored = await run_sync(_store, files, Path(folder.name))
    except BaseException:
        folder.cleanup()
        raise
    return Upload(folder, Order(stored, language, model, department))  # type: ignore[arg-type]


def _store(files: list[UploadFile], folder: Path) -> list[UploadedFile]:
    stored = []
    for number, file in enumerate(files):
        path = folder / str(number)
        with path.open("wb") as target:
            shutil.copyfileobj(file.file, target, MIB)
        stored.append(UploadedFile(path, file.filename or ""))
    return stored


async def _limited(request: Request, most: int, limits: DecodeLimits) -> AsyncGenerator[bytes, None]:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: DecodeLimits) -> TooLarge:
    return TooLarge(f"an upload may hold {limits.upload_bytes // MIB} MiB; send fewer images at a time")
