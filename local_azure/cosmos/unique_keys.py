"""Unique keys: property values that may occur once in a partition.

Takes a container's `uniqueKeyPolicy`; keeps the values in a table of its own, written in the item's transaction. An
absent property counts as null. https://learn.microsoft.com/azure/cosmos-db/unique-keys (read 2026-11).
"""

import sqlite3
from typing import Any

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.errors import CosmosError
from local_azure.cosmos.partition_key import PartitionKey, split_path, value_at
from local_azure.cosmos.sql.values import distinct_key
from local_azure.cosmos.store import Store


class UniqueKeys:
    """The unique keys of one container."""

    def __init__(self, store: Store, number: int, policy: dict[str, Any] | None) -> None:
        self.store = store
        self.name = f"unique_{number}"
        keys = (policy or {}).get("uniqueKeys") or []
        self.keys = [tuple(split_path(path) for path in key["paths"]) for key in keys]

    def __bool__(self) -> bool:
        return bool(self.keys)

    def create_table(self) -> None:
        if self:
            self.store.execute(
                f"CREATE TABLE IF NOT EXISTS {self.name}(pk TEXT NOT NULL, number INTEGER NOT NULL,"
                " value BLOB NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY(pk, number, value)) WITHOUT ROWID"
            )
            self.store.execute(f"CREATE INDEX IF NOT EXISTS {self.name}_rid ON {self.name}(rid)")

    def drop_table(self) -> None:
        self.store.execute(f"DROP TABLE IF EXISTS {self.name}")

    def put(self, key: PartitionKey, rid: int, document: dict[str, Any]) -> None:
        """Notes a document's values in place of its old ones. Raises 409 when another item has them."""
        self.remove(rid)
        for number, paths in enumerate(self.keys):
            values = [value_at(document, path) for path in paths]
            value = distinct_key([None if part is UNDEFINED else part for part in values])
            try:
                self.store.execute(f"INSERT INTO {self.name} VALUES (?, ?, ?, ?)", (key.text, number, value, rid))  # noqa: S608 - the name is a number
            except sqlite3.IntegrityError as error:
                raise CosmosError(409, "Unique index constraint violation.") from error

    def remove(self, rid: int) -> None:
        self.store.execute(f"DELETE FROM {self.name} WHERE rid=?", (rid,))  # noqa: S608 - the name is a number

    def remove_key(self, key: PartitionKey) -> None:
        self.store.execute(f"DELETE FROM {self.name} WHERE pk=?", (key.text,))  # noqa: S608 - the name is a number
