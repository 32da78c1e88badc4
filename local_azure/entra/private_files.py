"""Files that hold secrets: readable by the owner only, written whole, made by one process at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path


def write_private_file(file: Path, content: bytes) -> None:
    """Writes a file only its owner may read, at once or not at all."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
    fresh.replace(file)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds off other processes that want to make something in the same folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield
