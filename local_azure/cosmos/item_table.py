"""The SQL table of one container: rows by number (`rid`), by key (`pk`, `id`) and by change order (`lsn`).

Takes and gives rows with the document as final JSON bytes, so a point read does no JSON work. SQL text is built from
the container's number and column numbers only, never from client text.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.path_index import Path, PathColumns
from local_azure.cosmos.store import Store


class Version(NamedTuple):
    """What each write of an item makes anew."""

    lsn: int
    ts: int
    exp: int | None
    body: bytes


class Row(NamedTuple):
    """A stored item."""

    rid: int
    lsn: int
    ts: int
    exp: int | None
    body: bytes
    columns: tuple[str | float | None, ...]


class ItemTable:
    """The statements of one container's table."""

    def __init__(self, store: Store, number: int) -> None:
        self.store = store
        self.number = number
        self.name = f"items_{number}"
        rows = store.execute(
            "SELECT path, ready FROM path_columns WHERE container=? ORDER BY rowid", (number,)
        ).fetchall()
        self.columns = PathColumns([tuple(orjson.loads(path)) for path, _ in rows], [bool(ready) for _, ready in rows])
        self._prepare()

    @staticmethod
    def create(store: Store, number: int) -> None:
        name = f"items_{number}"
        store.execute(
            f"CREATE TABLE {name}(rid INTEGER PRIMARY KEY, pk TEXT NOT NULL, id TEXT NOT NULL, epk TEXT NOT NULL,"
            " lsn INTEGER NOT NULL, ts INTEGER NOT NULL, exp INTEGER, body BLOB NOT NULL)"
        )
        store.execute(f"CREATE UNIQUE INDEX {name}_key ON {name}(pk, id)")
        store.execute(f"CREATE UNIQUE INDEX {name}_lsn ON {name}(lsn)")
        store.execute(f"CREATE INDEX {name}_exp ON {name}(exp) WHERE exp IS NOT NULL")

    def drop(self) -> None:
        self.store.execute(f"DROP TABLE {self.name}")
        self.store.execute("DELETE FROM path_columns WHERE container=?", (self.number,))

    def _prepare(self) -> None:
        extra = "".join(f", x{number}" for number in range(len(self.columns)))
        marks = ", ?" * len(self.columns)
        names = f"rid, pk, id, epk, lsn, ts, exp, body{extra}"
        self._insert = f"INSERT INTO {self.name}({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?{marks})"  # noqa: S608 - see module docstring
        self._select = f"SELECT rid, lsn, ts, exp, body{extra} FROM {self.name} WHERE "  # noqa: S608 - see module docstring
        self._find = self._select + "pk=? AND id=?"
        self._read = f"SELECT lsn, ts, exp, body FROM {self.name} WHERE pk=? AND id=?"  # noqa: S608 - see module docstring
        self._updates: dict[tuple[int, ...], str] = {}

    def insert(self, rid: int, key: PartitionKey, version: Version, document: dict[str, Any]) -> bool:
        """Adds a row; False when the key is taken."""
        values: tuple[Any, ...] = (rid, key.text, document["id"], key.epk, *version)
        if self.columns.paths:
            values += self.columns.values(document)
        try:
            self.store.execute(self._insert, values)
        except sqlite3.IntegrityError:
            return False
        return True

    def update(self, row: Row, new_id: str | None, version: Version, document: dict[str, Any]) -> bool:
        """Overwrites a row; False when its new id is taken."""
        values: list[Any] = list(version)
        changed: tuple[int, ...] = ()
        if self.columns.paths:
            new = self.columns.values(document)
            if new != row.columns:
                changed = tuple(number for number, value in enumerate(new) if value != row.columns[number])
                values += [new[number] for number in changed]
        statement = self._updates.get(changed)
        if statement is None:
            extra = "".join(f", x{number}=?" for number in changed)
            statement = f"UPDATE {self.name} SET lsn=?, ts=?, exp=?, body=?{extra}"  # noqa: S608 - see module docstring
            self._updates[changed] = statement
        if new_id is not None:
            statement += ", id=?"
            values.append(new_id)
        try:
            self.store.execute(statement + " WHERE rid=?", (*values, row.rid))
        except sqlite3.IntegrityError:
            return False
        return True

    def find(self, key_text: str, item_id: str) -> Row | None:
        found = self.store.execute(self._find, (key_text, item_id)).fetchone()
        if found is None:
            return None
        rid, lsn, ts, exp, body = found[:5]
        return Row(rid, lsn, ts, exp, body, found[5:])

    def read(self, key_text: str, item_id: str) -> tuple[int, int, int | None, bytes] | None:
        """(lsn, ts, exp, body) of an item, the cheapest way."""
        return self.store.execute(self._read, (key_text, item_id)).fetchone()

    def id_of(self, rid: int) -> tuple[str, str] | None:
        """(pk, id) of a row number."""
        return self.store.execute(f"SELECT pk, id FROM {self.name} WHERE rid=?", (rid,)).fetchone()  # noqa: S608 - see module docstring

    def delete(self, rid: int) -> None:
        self.store.execute(f"DELETE FROM {self.name} WHERE rid=?", (rid,))  # noqa: S608 - see module docstring

    def delete_key(self, key_text: str) -> None:
        self.store.execute(f"DELETE FROM {self.name} WHERE pk=?", (key_text,))  # noqa: S608 - see module docstring

    def last_lsn(self, low: str = "", high: str = "FF") -> int:
        statement = f"SELECT lsn FROM {self.name} WHERE epk>=? AND epk<? ORDER BY lsn DESC LIMIT 1"  # noqa: S608 - see module docstring
        found = self.store.execute(statement, (low, high)).fetchone()
        return found[0] if found else 0

    def count(self, now: int, key_text: str | None = None, low: str = "", high: str = "FF") -> int:
        """How many live items there are, of one key or of a part of the hash space."""
        statement = f"SELECT count(*) FROM {self.name} WHERE (exp IS NULL OR +exp>?)"  # noqa: S608 - see module docstring
        if key_text is not None:
            return self.store.execute(statement + " AND pk=?", (now, key_text)).fetchone()[0]
        return self.store.execute(statement + " AND epk>=? AND epk<?", (now, low, high)).fetchone()[0]

    def size_kb(self, low: str, high: str) -> int:
        """The size of the items in a part of the hash space, in kilobytes."""
        statement = f"SELECT coalesce(sum(length(body)), 0) FROM {self.name} WHERE epk>=? AND epk<?"  # noqa: S608 - see module docstring
        return self.store.execute(statement, (low, high)).fetchone()[0] // 1024

    def last_rid(self) -> int:
        return self.store.execute(f"SELECT coalesce(max(rid), 0) FROM {self.name}").fetchone()[0]  # noqa: S608 - see module docstring

    def changes(
        self, after_lsn: int, low: str, high: str, *, now: int, since: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """(lsn, body) of live items changed after an LSN and not before a second, oldest change first."""
        statement = (
            f"SELECT lsn, body FROM {self.name} WHERE lsn>? AND +epk>=? AND +epk<?"  # noqa: S608 - see module docstring
            " AND (exp IS NULL OR +exp>?) AND +ts>=? ORDER BY lsn LIMIT ?"
        )
        return self.store.execute(statement, (after_lsn, low, high, now, since, limit)).fetchall()

    def rewrite_expiry(self, after_rid: int, expiry: Callable[[Any, int], int | None]) -> int | None:
        """Sets the expiry of the next rows; gives the last row number seen, None at the end."""
        rows = self.store.execute(self._select + "rid>? ORDER BY rid LIMIT 1000", (after_rid,)).fetchall()
        for rid, _, ts, exp, body, *_ in rows:
            new = expiry(orjson.loads(body), ts)
            if new != exp:
                self.store.execute(f"UPDATE {self.name} SET exp=? WHERE rid=?", (new, rid))  # noqa: S608 - see module docstring
        return rows[-1][0] if rows else None

    def expired(self, now: int, limit: int) -> list[int]:
        """Row numbers of items whose time to live is over."""
        statement = f"SELECT rid FROM {self.name} WHERE exp<=? ORDER BY exp LIMIT ?"  # noqa: S608 - see module docstring
        return [row[0] for row in self.store.execute(statement, (now, limit))]

    def add_column(self, path: Path) -> int:
        """A new, still empty column for a path; `fill_columns` and `finish_column` follow."""
        number = self.columns.append(path)
        with self.store.transaction():
            self.store.execute(f"ALTER TABLE {self.name} ADD COLUMN x{number}")
            self.store.execute(
                f"CREATE INDEX {self.name}_x{number} ON {self.name}(x{number}) WHERE x{number} IS NOT NULL"
            )
            self.store.execute(
                "INSERT INTO path_columns VALUES (?, ?, ?, 0)", (self.number, f"x{number}", orjson.dumps(path).decode())
            )
        self._prepare()
        return number

    def fill_columns(self, after_rid: int, limit: int) -> int | None:
        """Fills the columns of the next rows; gives the last row number seen, None at the end."""
        rows = self.store.execute(self._select + "rid>? ORDER BY rid LIMIT ?", (after_rid, limit)).fetchall()
        if not rows:
            return None
        with self.store.transaction():
            for found in rows:
                new = self.columns.values(orjson.loads(found[4]))
                for number, value in enumerate(new):
                    if value != found[5 + number]:
                        self.store.execute(f"UPDATE {self.name} SET x{number}=? WHERE rid=?", (value, found[0]))  # noqa: S608 - see module docstring
        return rows[-1][0]

    def finish_columns(self, count: int) -> None:
        """Marks the first `count` columns as filled."""
        for number in range(count):
            self.columns.ready[number] = True
            self.store.execute(
                "UPDATE path_columns SET ready=1 WHERE container=? AND name=?", (self.number, f"x{number}")
            )
