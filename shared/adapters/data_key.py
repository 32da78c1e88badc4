"""One data key, and what is sealed with it: AES-256-GCM under a key of its own for each text.

A sealed text is base64 of salt (16 bytes), nonce (12) and ciphertext with tag. Its key is HMAC-SHA256 of the data key
over salt and context, which is the expand step of HKDF (RFC 5869) for one block; so no two texts, and no two
customers, share a key, and without the text's salt its key can't be made again. The context (tenant, customer, field,
document) is authenticated as well: what is sealed for one place opens at no other.
"""

import hashlib
import hmac
import os
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_SALT_BYTES = 16
_RANDOM_BYTES = 28  # salt and nonce
_LABEL = b"cns sealed 1\n"


class DataKey:
    """A tenant's key of one week, or its key of profiles, by its ``id``."""

    __slots__ = ("_secret", "id")

    def __init__(self, key_id: str, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes")
        self.id = key_id
        self._secret = secret

    def __repr__(self) -> str:
        return f"DataKey({self.id!r})"

    def seal(self, plain: bytes, context: str) -> str:
        """``plain``, sealed for ``context``."""
        random, place = os.urandom(_RANDOM_BYTES), context.encode()
        cipher = AESGCM(self._key_of(random[:_SALT_BYTES], place))
        return b2a_base64(random + cipher.encrypt(random[_SALT_BYTES:], plain, place), newline=False).decode()

    def open(self, sealed: str, context: str) -> bytes:
        """What was sealed. Raises ValueError: it was sealed with another key, for another place, or was changed."""
        try:
            raw = a2b_base64(sealed)
            place = context.encode()
            cipher = AESGCM(self._key_of(raw[:_SALT_BYTES], place))
            return cipher.decrypt(raw[_SALT_BYTES:_RANDOM_BYTES], raw[_RANDOM_BYTES:], place)
        except (InvalidTag, NotBase64, ValueError) as error:
            raise ValueError("the sealed text does not open here") from error

    def _key_of(self, salt: bytes, place: bytes) -> bytes:
        return hmac.digest(self._secret, _LABEL + salt + place, hashlib.sha256)
