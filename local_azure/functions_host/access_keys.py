"""Keys of the host: generated locally, kept in one file only the owner can read, compared in constant time.

Takes the data folder, gives key checks by authorisation level. A request shows its key in ``x-functions-key`` or
``?code=``. Unlike Core Tools, keys are enforced locally: what works here works in Azure.
"""

import hmac
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class AccessKeys:
    """``keys.json``: master key, default host key, and one key for each function."""

    def __init__(self, data_folder: Path, function_names: Iterable[str]) -> None:
        self._path = data_folder / "keys.json"
        stored: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.master = stored.get("master") or _new_key()
        self.host = stored.get("host") or _new_key()
        self.functions: dict[str, str] = stored.get("functions", {})
        for name in function_names:
            self.functions.setdefault(name, _new_key())
        self._save()

    def _save(self) -> None:
        document = {
            "master": self.master,
            "host": self.host,
            "functions": self.functions,
        }
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def allows(self, level: str, function: str, key: str) -> bool:
        """Whether ``key`` opens a function of that level (``anonymous``, ``function`` or ``admin``)."""
        if level == "anonymous":
            return True
        if level == "admin":
            return self.is_master(key)
        candidates = (self.functions.get(function, ""), self.host, self.master)
        return any([_same(key, candidate) for candidate in candidates])  # noqa: C419 - no early exit: constant time

    def is_master(self, key: str) -> bool:
        return _same(key, self.master)


def _new_key() -> str:
    return secrets.token_urlsafe(40)


def _same(given: str, expected: str) -> bool:
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
