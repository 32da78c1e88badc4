"""The SQLite file behind the emulator: one connection, one writer, write-ahead log.

Gives transactions that nest, the catalogue schema and a clock. `synchronous=NORMAL`: a committed write is in the
operating system's hands, so killing the process loses nothing; a power cut may. Checkpoints, the only part that waits
for the disk, run in a thread on their own connection.
"""

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

SCHEMA_VERSION = 1
_LONG_LOG_BYTES = 64 * 1024 * 1024
_SCHEMA = """
CREATE TABLE IF NOT EXISTS databases(
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, rid TEXT NOT NULL, ts INTEGER NOT NULL,
  offer TEXT);
CREATE TABLE IF NOT EXISTS containers(
  number INTEGER PRIMARY KEY AUTOINCREMENT, database INTEGER NOT NULL, id TEXT NOT NULL, rid TEXT NOT NULL,
  ts INTEGER NOT NULL, ranges INTEGER NOT NULL, definition TEXT NOT NULL, offer TEXT,
  lsn_floor INTEGER NOT NULL DEFAULT 0, rid_floor INTEGER NOT NULL DEFAULT 0, UNIQUE(database, id));
CREATE TABLE IF NOT EXISTS path_columns(
  container INTEGER NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, ready INTEGER NOT NULL,
  PRIMARY KEY(container, name));
"""


class Store:
    """The open data file."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock(folder)
        self.path = folder / "cosmos.sqlite3"
        self.clock = clock
        self.connection = sqlite3.connect(self.path, isolation_level=None, cached_statements=1024)
        self.connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
            "PRAGMA cache_size=-65536; PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY;"
        )
        self._check_version()
        self.connection.executescript(_SCHEMA)
        self.execute = self.connection.execute
        self._depth = 0

    @staticmethod
    def _take_lock(folder: Path) -> IO[str]:
        """Keeps a second emulator out: counters are in memory, so two would give numbers twice."""
        lock = (folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            message = f"the data folder {folder} is in use by another emulator"
            raise RuntimeError(message) from error
        return lock

    def _check_version(self) -> None:
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            message = f"{self.path} has schema version {version}; this emulator writes {SCHEMA_VERSION}"
            raise RuntimeError(message)
        self.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; inside another transaction it joins that one."""
        if self._depth:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        else:
            self.execute("COMMIT")
        finally:
            self._depth = 0

    def checkpoint(self) -> None:
        """Moves the log into the file; safe to call from another thread."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=0)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def finish_checkpoint(self) -> None:
        """Moves the tail of a long log too, so that the next write starts the log anew.

        Under steady writing the checkpoint of the other thread never reaches the end; without this the log would grow
        for ever. Only the last few pages are left, so it is short enough for the event loop.
        """
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size > _LONG_LOG_BYTES:
            self.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        self.connection.close()
        self._lock.close()
