"""The one folder everything local lives in: lock, run.json, logs, keys, and a sub-folder per part.

The lock is an flock(2) on `.local/lock`, so it ends with the supervisor however that ends.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

_ROTATE_BYTES = 20_000_000


class AlreadyRunning(Exception):
    """Another supervisor holds the folder."""


class DataFolder:
    """Paths inside the data folder, and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.run_file = self.path / "run.json"
        self.settings_file = self.path / "settings.json"
        self._lock_file: IO[str] | None = None

    def lock(self) -> None:
        """Makes the folder (0700) and holds it until this process ends.

        Raises:
            AlreadyRunning: another supervisor works in it.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_file = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.seek(0)
            pid = lock_file.read().strip() or "unknown"
            lock_file.close()
            raise AlreadyRunning(f"{self.path} is in use by another supervisor (pid {pid}); stop it first") from None
        lock_file.truncate(0)
        lock_file.write(str(os.getpid()))
        lock_file.flush()
        self._lock_file = lock_file

    def unlock(self) -> None:
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def log_path(self, part_name: str) -> Path:
        return self.path / "logs" / f"{part_name}.log"

    def open_log(self, part_name: str) -> IO[bytes]:
        """The part's log, opened to append; one older log is kept when it has grown large."""
        path = self.log_path(part_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _ROTATE_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def write_run_file(self, state: dict[str, Any]) -> None:
        write_privately(self.run_file, json.dumps(state, indent=2) + "\n")

    def read_run_file(self) -> dict[str, Any] | None:
        """What runs, or None when no supervisor runs on this folder (a file left by a killed one does not count)."""
        try:
            state: dict[str, Any] = json.loads(self.run_file.read_text())
        except FileNotFoundError:
            return None
        return state if Path(f"/proc/{state['supervisor_pid']}").exists() else None


def write_privately(path: Path, text: str) -> None:
    """Replaces the file in one step; only its owner can read it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    draft.replace(path)
