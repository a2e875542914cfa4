"""Texts that clients carry for us, which they can neither read nor alter (AES-GCM)."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Seal:
    """Makes and opens such texts.

    Args:
        key: the gateway's.
        purpose: what they are for; one made for another purpose is not opened.
        prefix: what they begin with.
    """

    def __init__(self, key: bytes, purpose: bytes, prefix: str) -> None:
        self._cipher = AESGCM(key)
        self._purpose = purpose
        self._prefix = prefix

    def seal(self, plain: bytes) -> str:
        """Write a text."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._prefix + _encode(nonce + self._cipher.encrypt(nonce, plain, self._purpose))

    def open(self, text: str) -> bytes:
        """Return what was sealed.

        Raises:
            ValueError: the text is not ours, or was altered.
        """
        if not text.startswith(self._prefix):
            raise ValueError("another's")
        encoded = text[len(self._prefix) :]
        sealed = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        if _encode(sealed) != encoded:
            raise ValueError("not the one spelling of these bytes")
        nonce, secret = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, secret, self._purpose)
        except InvalidTag as error:
            raise ValueError("altered") from error


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
