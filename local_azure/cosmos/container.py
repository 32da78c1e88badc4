"""A container at run time: definition, change counter, ranges and its table.

Takes documents that are already checked; gives stored rows. The LSN counts every write of the container, also deletes;
it survives restarts because deletes note it in the catalogue (`lsn_floor`) and other writes carry it in their row.
"""

from typing import Any
from urllib.parse import quote

import orjson

from local_azure.cosmos import rids
from local_azure.cosmos.errors import bad_request, conflict, too_large
from local_azure.cosmos.item_table import ItemTable, Row, Version
from local_azure.cosmos.partition_key import KeyDefinition, PartitionKey
from local_azure.cosmos.ranges import make_ranges, range_index
from local_azure.cosmos.store import Store
from local_azure.cosmos.unique_keys import UniqueKeys

SYSTEM_PROPERTIES = ("_rid", "_self", "_etag", "_attachments", "_ts", "_lsn")
MAX_ITEM_BYTES = 2 * 1024 * 1024
_MAX_TTL = 2**31 - 1


class Container:
    """One container; every write goes through `add`, `overwrite` or `remove`."""

    def __init__(
        self, store: Store, number: int, database: tuple[str, str], row: tuple[str, str, int, int, str, int, int]
    ) -> None:
        self.store = store
        self.number = number
        self.database_id, self.database_rid = database
        self.id, self.rid, self.created_at, range_count, definition, lsn_floor, rid_floor = row
        self.ranges = make_ranges(range_count)
        self.rid_bytes = rids.decode(self.rid)
        self.quoted_path = quote(f"dbs/{self.database_id}/colls/{self.id}").encode()
        self.rid_text = self.rid.encode()
        self.self_link = f"dbs/{self.database_rid}/colls/{self.rid}/"
        self._etag_salt = self.rid_bytes[4:6].hex()
        self.use_definition(orjson.loads(definition))
        self.table = ItemTable(store, number)
        self.unique = UniqueKeys(store, number, self.definition.get("uniqueKeyPolicy"))
        self.range_lsns = [self.table.last_lsn(part.low, part.high) for part in self.ranges]
        self.lsn = max(lsn_floor, *self.range_lsns)
        self.last_rid = max(rid_floor, self.table.last_rid())
        self.is_dropped = False

    def use_definition(self, definition: dict[str, Any]) -> None:
        self.definition = definition
        self.key = KeyDefinition(definition["partitionKey"])
        self.default_ttl: int | None = definition.get("defaultTtl")

    def counters(self) -> tuple[int, int, list[int]]:
        return self.lsn, self.last_rid, list(self.range_lsns)

    def restore_counters(self, saved: tuple[int, int, list[int]]) -> None:
        """Puts the counters back after a transaction was rolled back."""
        self.lsn, self.last_rid, self.range_lsns = saved

    def etag(self, lsn: int, ts: int) -> str:
        return f'"{lsn & 0xFFFFFFFF:08x}-{lsn >> 32:04x}-{self._etag_salt}-0000-{ts:08x}0000"'

    def expiry(self, document: dict[str, Any], ts: int) -> int | None:
        own = document.get("ttl")
        if "ttl" in document and (type(own) is not int or not (own == -1 or 0 < own <= _MAX_TTL)):
            raise bad_request(f"The input ttl '{own}' is invalid. Ensure to provide a nonzero positive integer or -1.")
        if self.default_ttl is None:
            return None
        seconds = self.default_ttl if own is None else own
        return None if seconds == -1 else ts + seconds

    def _render(self, document: dict[str, Any], rid: int, etag: str, ts: int) -> bytes:
        for name in SYSTEM_PROPERTIES:
            document.pop(name, None)
        text = rids.item_rid(self.rid_bytes, rid)
        suffix = (
            f',"_rid":"{text}","_self":"{self.self_link}docs/{text}/","_etag":"\\{etag[:-1]}\\"",'
            f'"_attachments":"attachments/","_ts":{ts}}}'
        )
        content = orjson.dumps(document)
        if len(content) > MAX_ITEM_BYTES:
            raise too_large()
        return content[:-1] + suffix.encode()

    def _advance(self, key: PartitionKey, lsn: int) -> None:
        self.lsn = lsn
        self.range_lsns[range_index(self.ranges, key.epk)] = lsn

    def _version(self, document: dict[str, Any], rid: int, lsn: int) -> tuple[Version, str]:
        ts = int(self.store.clock())
        etag = self.etag(lsn, ts)
        exp = self.expiry(document, ts)
        return Version(lsn, ts, exp, self._render(document, rid, etag, ts)), etag

    def add(self, key: PartitionKey, document: dict[str, Any]) -> tuple[bytes, str]:
        """Inserts a document; (body, etag). Raises 409 when a live one has its id."""
        rid = self.last_rid + 1
        version, etag = self._version(document, rid, self.lsn + 1)
        if self.unique:
            with self.store.transaction():
                self._insert(rid, key, version, document)
                self.unique.put(key, rid, document)
        else:
            self._insert(rid, key, version, document)
        self.last_rid = rid
        self._advance(key, version.lsn)
        return version.body, etag

    def _insert(self, rid: int, key: PartitionKey, version: Version, document: dict[str, Any]) -> None:
        if self.table.insert(rid, key, version, document):
            return
        row = self.table.find(key.text, document["id"])
        if row is None or row.exp is None or row.exp > version.ts:
            raise conflict()
        # An expired item that the sweeper has not reached yet.
        with self.store.transaction():
            self._erase(row.rid)
            self.table.insert(rid, key, version, document)

    def _erase(self, rid: int) -> None:
        self.table.delete(rid)
        if self.unique:
            self.unique.remove(rid)

    def overwrite(
        self, key: PartitionKey, row: Row, document: dict[str, Any], *, new_id: str | None = None
    ) -> tuple[bytes, str]:
        """Replaces a stored document; (body, etag). Raises 409 when its new id is taken."""
        version, etag = self._version(document, row.rid, self.lsn + 1)
        if self.unique:
            with self.store.transaction():
                self.unique.put(key, row.rid, document)
                self._update(row, new_id, version, document)
        else:
            self._update(row, new_id, version, document)
        self._advance(key, version.lsn)
        return version.body, etag

    def _update(self, row: Row, new_id: str | None, version: Version, document: dict[str, Any]) -> None:
        if not self.table.update(row, new_id, version, document):
            raise conflict()

    def remove(self, key: PartitionKey, row: Row) -> None:
        lsn = self.lsn + 1
        with self.store.transaction():
            self._erase(row.rid)
            self.note_floors(lsn)
        self._advance(key, lsn)

    def remove_partition(self, key: PartitionKey) -> None:
        """Deletes every item of a key at once (the service does it in the background)."""
        lsn = self.lsn + 1
        with self.store.transaction():
            self.table.delete_key(key.text)
            if self.unique:
                self.unique.remove_key(key)
            self.note_floors(lsn)
        self._advance(key, lsn)

    def remove_expired(self, limit: int) -> int:
        """Deletes items whose time to live is over, at most `limit`; how many they were."""
        expired = self.table.expired(int(self.store.clock()), limit)
        if expired:
            with self.store.transaction():
                for rid in expired:
                    self._erase(rid)
                self.note_floors(self.lsn)
        return len(expired)

    def note_floors(self, lsn: int) -> None:
        self.store.execute(
            "UPDATE containers SET lsn_floor=?, rid_floor=? WHERE number=?", (lsn, self.last_rid, self.number)
        )

    def live(self, key: PartitionKey, item_id: str) -> Row | None:
        """The stored row unless it is absent or its time to live is over."""
        row = self.table.find(key.text, item_id)
        if row is not None and row.exp is not None and row.exp <= self.store.clock():
            return None
        return row

    def id_by_rid(self, key: PartitionKey, rid: str) -> str:
        """The id of the item a resource id names; the text itself when it is none of this key's items."""
        number = rids.item_number(rid)
        found = self.table.id_of(number) if number is not None and number < 2**63 else None
        return found[1] if found is not None and found[0] == key.text else rid

    def statistics(self) -> list[dict[str, Any]]:
        """How many items each physical range has, and their size."""
        now = int(self.store.clock())
        found = []
        for part in self.ranges:
            size = self.table.size_kb(part.low, part.high)
            count = self.table.count(now, None, part.low, part.high)
            found.append({"id": part.id, "sizeInKB": size, "documentCount": count, "partitionKeys": []})
        return found

    def usage(self) -> bytes:
        """The quota header: sizes in KB and the number of items."""
        size = self.table.size_kb("", "FF")
        count = self.table.count(int(self.store.clock()))
        return b"documentSize=%d;documentsSize=%d;documentsCount=%d;collectionSize=%d;" % (
            size // 1024,
            size,
            count,
            size,
        )

    def recompute_expiry(self) -> None:
        """Gives every item the expiry that the current default time to live means."""
        last: int | None = 0
        while last is not None:
            last = self.table.rewrite_expiry(last, self.expiry)
