"""What survives a crash: one SQLite file in WAL mode.

Takes changes of messages, counters, duplicate-detection history and session state as they happen in memory, and
writes them all in one transaction per `commit()`. The server calls `commit()` before any byte leaves that tells a
peer about them, so an acknowledged message is stored and a confirmed settlement stays settled whenever the process
is killed. `synchronous=NORMAL` survives a killed process; `FULL` survives a power cut too, at an fsync per commit.
Locks are not stored: after a restart a locked message is available again, with its delivery count unchanged.
"""

import fcntl
import logging
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from local_azure.servicebus.message import Content, Message

_LOGGER = logging.getLogger(__name__)
_SEQUENCE_BITS = 40  # 1.1e12 messages an entity; the row id holds entity number and sequence number
_CHECKPOINT_COMMITS = 2000
_CHECKPOINT_BYTES = 16 << 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, next_sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY, state INTEGER NOT NULL, delivery_count INTEGER NOT NULL, enqueue_sequence INTEGER NOT NULL,
  enqueued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, scheduled_at INTEGER NOT NULL, durable INTEGER NOT NULL,
  ttl_ms INTEGER, dead_letter_source TEXT, partition_key TEXT, annotation_count INTEGER NOT NULL,
  annotations BLOB NOT NULL, bare BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS history (
  entity INTEGER NOT NULL, message_id TEXT NOT NULL, expires_at INTEGER NOT NULL,
  PRIMARY KEY (entity, message_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
  entity INTEGER NOT NULL, session_id TEXT NOT NULL, state BLOB, updated_at INTEGER NOT NULL,
  PRIMARY KEY (entity, session_id)) WITHOUT ROWID;
"""
_UPSERT_MESSAGE = "INSERT OR REPLACE INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"


class StoreError(RuntimeError):
    """The data folder cannot be used."""


def _row(row_id: int, message: Message) -> tuple[Any, ...]:
    content = message.content
    return (
        row_id,
        message.state,
        message.delivery_count,
        message.enqueue_sequence,
        message.enqueued_at,
        message.expires_at,
        content.scheduled_at,
        content.durable,
        content.ttl_ms,
        message.dead_letter_source,
        content.partition_key,
        content.annotation_count,
        content.annotations,
        content.bare,
    )


def _message(row: tuple[Any, ...]) -> Message:
    content = Content.restore(
        bare=row[13],
        annotations=row[12],
        annotation_count=row[11],
        durable=bool(row[7]),
        ttl_ms=row[8],
        scheduled_at=row[6],
        partition_key=row[10],
    )
    return Message(
        content=content,
        sequence=row[0] & ((1 << _SEQUENCE_BITS) - 1),
        enqueue_sequence=row[3],
        enqueued_at=row[4],
        expires_at=row[5],
        state=row[1],
        delivery_count=row[2],
        dead_letter_source=row[9],
        session_id=content.session_id,
    )


class Store:
    """The open file. Without a folder everything stays in memory, for tests that need no restart."""

    def __init__(self, folder: Path | None, *, synchronous: str = "NORMAL") -> None:
        self._claimed: TextIO | None = None
        self._path = None if folder is None else folder / "servicebus.sqlite3"
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._claim(folder)
        try:
            self._db = sqlite3.connect(self._path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA locking_mode=NORMAL")
            self._db.execute(f"PRAGMA synchronous={synchronous}")
            self._db.execute("PRAGMA wal_autocheckpoint=0")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreError(f"cannot use {self._path}: {error}") from error
        self._messages: dict[int, Message | None] = {}
        self._counters: dict[int, int] = {}
        self._history: dict[tuple[int, str], int] = {}
        self._sessions: dict[tuple[int, str], tuple[bytes | None, int] | None] = {}
        self._checkpointer: threading.Thread | None = None
        self._commits = self._written = 0

    def _claim(self, folder: Path) -> None:
        """Keep a second process out: each would give out the other's sequence numbers."""
        self._claimed = (folder / "lock").open("w")
        try:
            fcntl.flock(self._claimed, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._claimed.close()
            raise StoreError(f"the data folder {folder} is in use by another process") from error

    def entity(self, name: str) -> tuple[int, int]:
        """The number of an entity, given at its first use, and its next sequence number."""
        found = self._db.execute("SELECT id, next_sequence FROM entities WHERE name = ?", (name,)).fetchone()
        if found:
            return found[0], found[1]
        cursor = self._db.execute("INSERT INTO entities (name, next_sequence) VALUES (?, 1)", (name,))
        return int(cursor.lastrowid or 0), 1

    def load_messages(self, entity: int) -> Iterator[Message]:
        """The stored messages of an entity by sequence number."""
        first, last = entity << _SEQUENCE_BITS, (entity + 1) << _SEQUENCE_BITS
        for row in self._db.execute("SELECT * FROM messages WHERE id >= ? AND id < ? ORDER BY id", (first, last)):
            yield _message(row)

    def load_history(self, entity: int, now: int) -> dict[str, int]:
        """Message ids that duplicate detection still remembers, with the end of the memory, oldest first."""
        self._db.execute("DELETE FROM history WHERE entity = ? AND expires_at <= ?", (entity, now))
        query = "SELECT message_id, expires_at FROM history WHERE entity = ? ORDER BY expires_at"
        return dict(self._db.execute(query, (entity,)))

    def load_sessions(self, entity: int) -> list[tuple[str, bytes | None, int]]:
        query = "SELECT session_id, state, updated_at FROM sessions WHERE entity = ?"
        return self._db.execute(query, (entity,)).fetchall()

    def put(self, entity: int, message: Message) -> None:
        self._messages[entity << _SEQUENCE_BITS | message.sequence] = message

    def delete(self, entity: int, sequence: int) -> None:
        self._messages[entity << _SEQUENCE_BITS | sequence] = None

    def set_next_sequence(self, entity: int, next_sequence: int) -> None:
        self._counters[entity] = next_sequence

    def remember(self, entity: int, message_id: str, expires_at: int) -> None:
        self._history[entity, message_id] = expires_at

    def forget(self, entity: int, message_id: str) -> None:
        self._history[entity, message_id] = 0

    def put_session(self, entity: int, session_id: str, state: bytes | None, updated_at: int) -> None:
        self._sessions[entity, session_id] = (state, updated_at)

    def commit(self) -> None:
        """Everything since the last commit is in the file when this returns."""
        if not (self._messages or self._counters or self._history or self._sessions):
            return
        execute, execute_many = self._db.execute, self._db.executemany
        execute("BEGIN")
        if self._messages:
            rows = [_row(row_id, message) for row_id, message in self._messages.items() if message is not None]
            gone = [(row_id,) for row_id, message in self._messages.items() if message is None]
            if rows:
                execute_many(_UPSERT_MESSAGE, rows)
                self._written += sum(len(row[-1]) for row in rows)
            if gone:
                execute_many("DELETE FROM messages WHERE id = ?", gone)
        if self._counters:
            execute_many(
                "UPDATE entities SET next_sequence = ? WHERE id = ?", [(n, e) for e, n in self._counters.items()]
            )
        if self._history:
            self._write_history()
        if self._sessions:
            self._write_sessions()
        execute("COMMIT")
        self._messages.clear()
        self._counters.clear()
        self._commits += 1
        if self._checkpointer or self._commits >= _CHECKPOINT_COMMITS or self._written >= _CHECKPOINT_BYTES:
            self._checkpoint()

    def _write_history(self) -> None:
        kept = [(entity, key, expires) for (entity, key), expires in self._history.items() if expires]
        gone = [key for key, expires in self._history.items() if not expires]
        self._db.executemany("INSERT OR REPLACE INTO history VALUES (?,?,?)", kept)
        self._db.executemany("DELETE FROM history WHERE entity = ? AND message_id = ?", gone)
        self._history.clear()

    def _write_sessions(self) -> None:
        rows = [(*key, *value) for key, value in self._sessions.items() if value is not None]
        self._db.executemany("INSERT OR REPLACE INTO sessions VALUES (?,?,?,?)", rows)
        self._sessions.clear()

    def _checkpoint(self) -> None:
        """Move the log into the database, in a thread first, as the fsync would stall every connection.

        What came meanwhile is moved here: only a log that was moved entirely is written from its start again.
        """
        if self._path is None:
            return
        if self._checkpointer is None:
            self._commits = self._written = 0
            self._checkpointer = threading.Thread(target=self._checkpoint_beside, name="checkpoint", daemon=True)
            self._checkpointer.start()
        elif not self._checkpointer.is_alive():
            self._checkpointer = None
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _checkpoint_beside(self) -> None:
        try:
            beside = sqlite3.connect(str(self._path), isolation_level=None)
            beside.execute("PRAGMA wal_checkpoint(PASSIVE)")
            beside.close()
        except sqlite3.Error:
            _LOGGER.warning("checkpoint failed; the log keeps growing until the next one", exc_info=True)

    def close(self) -> None:
        """Commit, and fold the log into the database."""
        self.commit()
        if self._checkpointer:
            self._checkpointer.join()
        if self._path is not None:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        if self._claimed:
            self._claimed.close()
