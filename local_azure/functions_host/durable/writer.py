"""Group commit: takes statement groups from the event loop, gives a future that is done when a group is on disk.

One thread owns the writing connection. All groups that queued up while it was busy share one transaction, so a
burst of turns costs one commit; each group keeps its own savepoint, so one that cannot be written fails alone.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Statement = tuple[str, Sequence[Sequence[Any]]]
"""An SQL text and the rows to run it with."""

_MAX_GROUPS_PER_COMMIT = 256


class StoreUnusable(Exception):
    """The database could not be written; nothing after this can be promised."""


class Writer:
    """Writes statement groups in the order of submission."""

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self._path = path
        self._synchronous = synchronous
        self._queue: queue.SimpleQueue[tuple[list[Statement], asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="durable-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: asyncio.Future[None] | None = None
        self._failure: str | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, statements: Iterable[Statement]) -> asyncio.Future[None]:
        """A future that is done when the statements are committed.

        Raises:
            StoreUnusable: The store was not started, or an earlier write failed: what is on disk is whole, and later
                writes must not follow a gap. A restart takes up what is on disk.
        """
        if self._loop is None or self._failure is not None:
            raise StoreUnusable(self._failure or "the durable store is not started")
        future: asyncio.Future[None] = self._loop.create_future()
        self._last = future
        self._queue.put((list(statements), future))
        return future

    async def settled(self) -> None:
        """Return when everything submitted so far is on disk."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])

    async def stop(self) -> None:
        await self.settled()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        connection = open_connection(self._path, synchronous=self._synchronous)
        with contextlib.closing(connection):
            while (groups := self._next_groups()) is not None:
                self._commit(connection, groups)

    def _next_groups(self) -> list[tuple[list[Statement], asyncio.Future[None]]] | None:
        first = self._queue.get()
        if first is None:
            return None
        groups = [first]
        with contextlib.suppress(queue.Empty):
            while len(groups) < _MAX_GROUPS_PER_COMMIT:
                item = self._queue.get_nowait()
                if item is None:
                    self._queue.put(None)  # the stop mark is for the next round
                    break
                groups.append(item)
        return groups

    def _commit(
        self, connection: sqlite3.Connection, groups: list[tuple[list[Statement], asyncio.Future[None]]]
    ) -> None:
        outcomes: list[tuple[asyncio.Future[None], StoreUnusable | None]] = []
        try:
            if self._failure is None:
                connection.execute("BEGIN IMMEDIATE")
                for statements, future in groups:
                    outcomes.append((future, _write_group(connection, statements)))
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            logger.exception("the durable store could not be written; the engine stops")
            self._failure = str(error)
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        if self._failure is not None:
            outcomes = [(future, StoreUnusable(self._failure)) for _, future in groups]
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve, outcomes)


def open_connection(path: Path, *, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """A connection in autocommit mode on the database in WAL mode."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _write_group(connection: sqlite3.Connection, statements: list[Statement]) -> StoreUnusable | None:
    """Write one group; values that SQLite cannot hold spoil only their own group, a failing disk raises."""
    connection.execute("SAVEPOINT unit")
    try:
        for sql, rows in statements:
            connection.executemany(sql, rows)
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, ValueError) as error:
        logger.exception("a group of durable writes was refused")
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
        return StoreUnusable(str(error))
    connection.execute("RELEASE unit")
    return None


def _resolve(outcomes: list[tuple[asyncio.Future[None], StoreUnusable | None]]) -> None:
    for future, failure in outcomes:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
