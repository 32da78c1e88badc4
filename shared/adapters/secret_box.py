"""Secrets at rest: AES-256-GCM under a key that Key Vault hands out as a setting."""

import secrets
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SecretBox:
    """Seals and opens short texts. ``context`` binds a sealed text to its place, so it can't be moved to another."""

    def __init__(self, key: str) -> None:
        raw = b64decode(key, validate=True)
        if len(raw) != _KEY_BYTES:
            raise ValueError(f"the key must be base64 of {_KEY_BYTES} bytes")
        self._cipher = AESGCM(raw)

    def seal(self, text: str, context: str) -> str:
        """The sealed text, base64."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())).decode()

    def open(self, sealed: str, context: str) -> str:
        """The text again. Raises ValueError when it was sealed with another key or for another place."""
        raw = b64decode(sealed)
        try:
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except InvalidTag as error:
            raise ValueError("the sealed text does not open with this key") from error
