"""Pictures as they are stored: encrypted with AES-256-GCM (NIST SP 800-38D) where there is a key, else as they are.

What is sealed is bound to where it belongs, so that a picture that was moved to another study cannot be opened there.
Patients have pseudonyms by a key that is derived from the same one (HKDF, RFC 5869).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import StoreUnavailable

MARK = b"DKS1"
"""Begins what is sealed; no PNG and no numpy file begins so."""
KEY_BYTES, NAME_BYTES, NONCE_BYTES = 32, 8, 12


class Sealer:
    """Seals with the newest key, and opens with whichever it was sealed with.

    Args:
        keys: of 32 random bytes in base64, the newest first; none: nothing is sealed.

    Raises:
        ValueError: one is no such key.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys: dict[bytes, AESGCM] = {}
        self._patient_keys: list[bytes] = []
        for text in keys:
            key = _decoded(text)
            self._keys[hashlib.sha256(key).digest()[:NAME_BYTES]] = AESGCM(key)
            self._patient_keys.append(HKDF(SHA256(), KEY_BYTES, salt=None, info=b"dokuei patients").derive(key))

    def seal(self, data: bytes, place: str) -> bytes:
        """What is to be stored at a place."""
        if not self._keys:
            return data
        name, key = next(iter(self._keys.items()))
        nonce = os.urandom(NONCE_BYTES)
        return MARK + name + nonce + key.encrypt(nonce, data, place.encode())

    def open(self, stored: bytes, place: str) -> bytes:
        """What was sealed there; what was stored before there was a key is given as it is.

        Raises:
            StoreUnavailable: its key is not there, or it is not what was stored at this place.
        """
        if not stored.startswith(MARK):
            return stored
        name, nonce, sealed = (
            stored[len(MARK) :][:NAME_BYTES],
            stored[len(MARK) + NAME_BYTES :][:NONCE_BYTES],
            stored[len(MARK) + NAME_BYTES + NONCE_BYTES :],
        )
        key = self._keys.get(name)
        if key is None:
            raise StoreUnavailable(
                f"a picture is encrypted with the key {name.hex()}, which is not among DOKUEI_IMAGE_KEYS; add it there"
            )
        try:
            return key.decrypt(nonce, sealed, place.encode())
        except InvalidTag:
            raise StoreUnavailable("a picture is not the one that was stored here; nothing of it is shown") from None

    def pseudonyms(self, patient: str) -> list[str]:
        """What studies of a patient are stored with (HMAC-SHA-256), by the newest key first; none without a key.

        Args:
            patient: `patient_digest` of the patient's id.
        """
        return [hmac.new(key, patient.encode(), hashlib.sha256).hexdigest() for key in self._patient_keys]


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("a key is 32 random bytes in base64, as `openssl rand -base64 32` prints it")
    return key
