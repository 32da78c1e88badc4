"""The engine's SQLite database (WAL): tables, statements and the queries that recovery and status need.

Tables: ``inst`` one row per instance, ``hist`` its events, ``inbox`` what an instance or entity has yet to see,
``work`` activities and timers that are owed, ``ent`` entity states. Every change of an instance is one group of
statements for the ``Writer``, so one transaction. Readers never wait for it.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from local_azure.functions_host.durable.history import Event
from local_azure.functions_host.durable.instance import Instance, Message, Parent, ReplayState, Work
from local_azure.functions_host.durable.json_text import dumps, loads
from local_azure.functions_host.durable.schema import WAY_OUT, prepare
from local_azure.functions_host.durable.writer import Statement, StoreUnusable, Writer, open_connection

_COLUMNS = (
    "id, name, version, status, input, output, custom, created, updated, execution, "
    "parent_id, parent_execution, parent_task, replay, events"
)
_LIVE = "status IN ('Pending', 'Running', 'Suspended')"


class Store:
    """One task hub's database file, held by one engine at a time."""

    def __init__(self, data_dir: Path, task_hub: str, *, synchronous: str) -> None:
        if not task_hub.replace("-", "").replace("_", "").isalnum():
            message = f"a task hub's name (hubName in host.json) has only letters, digits, - and _: {task_hub!r}"
            raise ValueError(message)
        data_dir.mkdir(parents=True, exist_ok=True)
        self._path = data_dir / f"{task_hub}.durable.sqlite3"
        self._lock_file: IO[str] | None = None
        self._reader: sqlite3.Connection | None = None
        self._numbers = iter(range(0))
        self._synchronous = synchronous
        self.writer = Writer(self._path, synchronous=synchronous)

    def open(self) -> None:
        """Open the database and start the writer.

        Raises:
            StoreUnusable: Another engine holds this task hub, or the file is not one this engine can use.
        """
        self._lock_file = self._path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock_file.close()
            message = f"another process uses the durable task hub in {self._path.parent}"
            raise StoreUnusable(message) from error
        try:
            self._open_database()
        except StoreUnusable:
            self._let_go()
            raise
        highest = self._one(
            "SELECT max(coalesce((SELECT max(n) FROM inbox), 0), coalesce((SELECT max(n) FROM work), 0))"
        )
        self._numbers = iter(range(highest[0] + 1, 1 << 62))
        self._path.chmod(0o600)
        self.writer.start()

    def _open_database(self) -> None:
        try:
            self._reader = open_connection(self._path, synchronous=self._synchronous)
            prepare(self._reader, self._path)
        except sqlite3.Error as error:
            message = f"{self._path} cannot be used as the durable task hub's database: {error}. {WAY_OUT}"
            raise StoreUnusable(message) from error

    async def close(self) -> None:
        await self.writer.stop()
        self._let_go()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._lock_file is not None:
            self._lock_file.close()

    def next_number(self) -> int:
        """A row number that neither the inbox nor the work table has used."""
        return next(self._numbers)

    def query(self, sql: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        if self._reader is None:
            message = "the durable store is not open"
            raise StoreUnusable(message)
        return self._reader.execute(sql, parameters)

    def _one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        return self.query(sql, parameters).fetchone()

    def instance(self, instance_id: str) -> Instance | None:
        row = self._one(f"SELECT {_COLUMNS} FROM inst WHERE id = ?", (instance_id,))  # noqa: S608 - a constant
        return None if row is None else _instance(row)

    def instances(self, where: str, parameters: tuple[Any, ...]) -> list[Instance]:
        """The instances that match a condition made of constants and ``?``."""
        rows = self.query(f"SELECT {_COLUMNS} FROM inst WHERE {where}", parameters)  # noqa: S608 - see above
        return [_instance(row) for row in rows]

    def live_instances(self) -> Iterator[Instance]:
        return map(_instance, self.query(f"SELECT {_COLUMNS} FROM inst WHERE {_LIVE}"))  # noqa: S608 - constants

    def history(self, instance_id: str) -> list[str]:
        """The rendered events, as played."""
        return [row[0] for row in self.query("SELECT event FROM hist WHERE id = ? ORDER BY seq", (instance_id,))]

    def inbox(self) -> Iterator[tuple[int, str, Event]]:
        for number, target, message in self.query("SELECT n, id, message FROM inbox ORDER BY n"):
            yield number, target, loads(message)

    def work(self) -> Iterator[Work]:
        rows = self.query("SELECT n, id, execution, kind, task, name, input, due FROM work ORDER BY n")
        return (Work(*row) for row in rows)

    def entity_state(self, entity_id: str) -> str | None:
        """The state's JSON text, or None when the entity does not exist."""
        row = self._one("SELECT state FROM ent WHERE id = ?", (entity_id,))
        return None if row is None else row[0]


def _instance(row: tuple[Any, ...]) -> Instance:
    parent = None if row[10] is None else Parent(row[10], row[11], row[12])
    return Instance(
        id=row[0],
        name=row[1],
        version=row[2],
        status=row[3],
        input=row[4],
        output=row[5],
        custom_status=row[6],
        created=row[7],
        updated=row[8],
        execution=row[9],
        parent=parent,
        replay=ReplayState.from_text(row[13]),
        history=None,
        history_length=row[14],
    )


def put_instance(instance: Instance) -> Statement:
    parent = instance.parent
    row = (
        instance.id,
        instance.name,
        instance.version,
        instance.status,
        instance.input,
        instance.output,
        instance.custom_status,
        instance.created,
        instance.updated,
        instance.execution,
        parent.instance_id if parent else None,
        parent.execution if parent else None,
        parent.task if parent else None,
        instance.replay.to_text(),
        instance.history_length,
    )
    marks = ", ".join("?" * len(row))
    return f"INSERT OR REPLACE INTO inst ({_COLUMNS}) VALUES ({marks})", [row]  # noqa: S608 - constants


def update_instance(instance: Instance) -> Statement:
    """The statement for what a turn changes; the input and the identity stay."""
    row = (
        instance.status,
        instance.output,
        instance.custom_status,
        instance.updated,
        instance.replay.to_text(),
        instance.history_length,
        instance.id,
    )
    columns = "status = ?, output = ?, custom = ?, updated = ?, replay = ?, events = ?"
    return f"UPDATE inst SET {columns} WHERE id = ?", [row]  # noqa: S608 - constants


def add_history(instance_id: str, first: int, events: list[str]) -> Statement:
    rows = [(instance_id, first + offset, event) for offset, event in enumerate(events)]
    return "INSERT INTO hist (id, seq, event) VALUES (?, ?, ?)", rows


def add_message(target: str, message: Message) -> Statement:
    row = (message.inbox_number, target, dumps(message.event))
    return "INSERT INTO inbox (n, id, message) VALUES (?, ?, ?)", [row]


def add_work(works: list[Work]) -> Statement:
    rows = [(w.number, w.instance_id, w.execution, w.kind, w.task, w.name, w.input, w.due) for w in works]
    return "INSERT INTO work (n, id, execution, kind, task, name, input, due) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows


def remove_messages(messages: list[Message]) -> list[Statement]:
    """Statements that take consumed messages out, be they inbox rows or fired timers."""
    inbox = [(message.inbox_number,) for message in messages if message.inbox_number is not None]
    return [
        ("DELETE FROM inbox WHERE n = ?", inbox),
        remove_work([message.work_number for message in messages if message.work_number is not None]),
    ]


def remove_work(numbers: list[int]) -> Statement:
    return "DELETE FROM work WHERE n = ?", [(number,) for number in numbers]


def forget_pending(instance_id: str) -> list[Statement]:
    """Statements for an execution that is over: what it had not seen goes, activities already owed still run."""
    return [
        ("DELETE FROM inbox WHERE id = ?", [(instance_id,)]),
        ("DELETE FROM work WHERE id = ? AND kind = 'timer'", [(instance_id,)]),
    ]


def forget_history(instance_id: str) -> Statement:
    return "DELETE FROM hist WHERE id = ?", [(instance_id,)]


def forget_instance(instance_id: str) -> list[Statement]:
    tables = ("inst", "hist", "inbox", "work")
    return [(f"DELETE FROM {table} WHERE id = ?", [(instance_id,)]) for table in tables]  # noqa: S608 - constants


def put_entity(entity_id: str, state: str | None, updated: str) -> Statement:
    """The statement that stores the state, or removes the entity when there is none."""
    if state is None:
        return "DELETE FROM ent WHERE id = ?", [(entity_id,)]
    return "INSERT OR REPLACE INTO ent (id, state, updated) VALUES (?, ?, ?)", [(entity_id, state, updated)]
