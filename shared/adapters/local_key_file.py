"""Data keys wrapped with a key from a file: for one machine, and for tests. In Azure it is Key Vault (vault_key.py).

The file is JSON, ``{"newest": <name>, "keys": {<name>: <32 bytes in base64>}}``, readable by its owner only. It is read
again whenever it has changed, so a key is rotated by writing a new one beside the old ones and naming it; the old ones
stay until nothing is wrapped with them any more (functions/privacy.py sees to that once a day).
Wrapping is AES key wrap (RFC 3394).
"""

import json
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from shared.adapters.keyring import Wrapped
from shared.domain.errors import StoreUnavailable

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Keys:
    newest: str
    by_name: dict[str, bytes] = field(repr=False)


class LocalKeyFile:
    """KeyWrapper over a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._keys = _Keys("", {})

    async def newest(self) -> str:
        return self._current().newest

    async def wrap(self, secret: bytes) -> Wrapped:
        keys = self._current()
        return Wrapped(keys.newest, aes_key_wrap(keys.by_name[keys.newest], secret))

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        key = self._current().by_name.get(wrapped.by)
        if key is None:
            raise StoreUnavailable("the key file lacks a key that data keys are wrapped with")
        try:
            return aes_key_unwrap(key, wrapped.data)
        except InvalidUnwrap as error:
            raise ValueError("a data key does not unwrap") from error

    def _current(self) -> _Keys:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._read_at:
                self._keys, self._read_at = _parsed(self._path.read_text("utf-8")), stamp
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable("the key file can't be read") from error
        return self._keys


def _parsed(text: str) -> _Keys:
    document = json.loads(text)
    keys = {name: b64decode(key, validate=True) for name, key in document["keys"].items()}
    if document["newest"] not in keys or any(len(key) != _KEY_BYTES for key in keys.values()):
        raise ValueError("not a key file")
    return _Keys(document["newest"], keys)
