"""Who vouches for an archive: a detached Ed25519 signature (RFC 8032) of all its bytes, in a file beside it.

OpenSSL makes it, and no code of Dokuei has a private key in its hands. The archive holds graph, golden set, handler
and card, so the signature is of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ArchiveError, SettingsError

# `cryptography` is loaded only where there is something to verify: without keys no start waits for it.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SUFFIX = ".sig"
"""Behind the archive's name."""
VARIABLE = "DOKUEI_TRUSTED_KEYS"
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


def public_keys(text: str) -> list[Ed25519PublicKey]:
    """The keys in a text of PEM blocks; none in an empty one.

    Raises:
        SettingsError: a block is no public key of Ed25519, or there is something, and no block in it.
    """
    if not text.strip():
        return []
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = []
    for block in _PEM.finditer(text):
        try:
            key = load_pem_public_key(block[0].encode())
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise SettingsError(f"{VARIABLE} holds a {block[1]} that is no public key of Ed25519")
        keys.append(key)
    if not keys:
        raise SettingsError(f"{VARIABLE} holds no PEM block; it is what `openssl pkey -pubout` prints")
    return keys


def verify(archive: Path, keys: Sequence[Ed25519PublicKey]) -> None:
    """Verify that one of the keys has signed the archive.

    Raises:
        ArchiveError: there is no signature beside it, or it is of other bytes or by another key.
    """
    from cryptography.exceptions import InvalidSignature

    beside = archive.with_name(archive.name + SUFFIX)
    if not beside.is_file():
        raise ArchiveError(f"{archive}: there is no signature {beside.name} beside it, and {VARIABLE} asks for one")
    signature, content = beside.read_bytes(), archive.read_bytes()
    for key in keys:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return
    raise ArchiveError(f"{archive}: {beside.name} is no signature of it by a key of {VARIABLE}")
