"""Databases and containers: create, find, replace, delete; kept in the store, mirrored in memory.

Takes resource bodies as the REST API sends them; gives `Database` and `Container` objects. The number of physical
ranges is fixed when a container is created.
"""

import logging
import re
from typing import Any

import orjson

from local_azure.cosmos import rids
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import bad_request, conflict, not_found
from local_azure.cosmos.item_table import ItemTable
from local_azure.cosmos.partition_key import KeyDefinition
from local_azure.cosmos.store import Store
from local_azure.cosmos.unique_keys import UniqueKeys

logger = logging.getLogger(__name__)

DEFAULT_THROUGHPUT = 400
_BAD_NAME = re.compile(r"[/\\?#\r\n\t]|[ ]$")
_DEFAULT_INDEXING = {"indexingMode": "consistent", "automatic": True, "includedPaths": [{"path": "/*"}]}
_EXCLUDED_ETAG = {"path": '/"_etag"/?'}
_DEFAULT_CONFLICTS = {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts", "conflictResolutionProcedure": ""}
_FIXED = ("id", "partitionKey", "uniqueKeyPolicy")
_SYSTEM = ("_rid", "_ts", "_self", "_etag", "_docs", "_sprocs", "_triggers", "_udfs", "_conflicts")

Offer = dict[str, Any]


class Database:
    """One database and its containers by id."""

    def __init__(self, number: int, database_id: str, rid: str, created_at: int, offer: Offer | None) -> None:
        self.number = number
        self.id = database_id
        self.rid = rid
        self.created_at = created_at
        self.offer = offer
        self.containers: dict[str, Container] = {}

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "_rid": self.rid,
            "_self": f"dbs/{self.rid}/",
            "_etag": f'"{self.created_at:08x}-0000-0000-0000-{self.created_at:012x}"',
            "_colls": "colls/",
            "_users": "users/",
            "_ts": self.created_at,
        }


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name or len(name) > 255 or _BAD_NAME.search(name):
        raise bad_request(
            "The input name is invalid. Ensure to provide a unique non-empty string less than '255' characters. "
            "It must not contain '/', '\\', '?', '#' or end with a space."
        )
    return name


def _complete_indexing(policy: Any) -> dict[str, Any]:
    """A policy with the defaults the service fills in; the etag is never indexed."""
    if policy is not None and not isinstance(policy, dict):
        raise bad_request("The indexing policy must be an object.")
    complete = {**_DEFAULT_INDEXING, **(policy or {})}
    excluded = complete.get("excludedPaths") or []
    if _EXCLUDED_ETAG not in excluded and complete["indexingMode"] != "none":
        excluded = [*excluded, _EXCLUDED_ETAG]
    return {**complete, "excludedPaths": excluded}


def _check_ttl(definition: dict[str, Any]) -> None:
    ttl = definition.get("defaultTtl")
    if ttl is not None and (type(ttl) is not int or not (ttl == -1 or 0 < ttl < 2**31)):
        raise bad_request("The defaultTtl must be -1 or a positive number of seconds.")


class Catalog:
    """All databases."""

    def __init__(self, store: Store, ranges: int) -> None:
        self.store = store
        self.ranges = ranges
        self.databases: dict[str, Database] = {}
        self.offers: dict[int, Offer] = {}
        self._load()

    def _load(self) -> None:
        by_number: dict[int, Database] = {}
        for number, name, rid, created_at, offer in self.store.execute(
            "SELECT number, id, rid, ts, offer FROM databases"
        ):
            database = Database(number, name, rid, created_at, orjson.loads(offer) if offer else None)
            self.databases[name] = by_number[number] = database
        for number, owner in self.store.execute("SELECT number, database FROM containers").fetchall():
            self._open_container(by_number[owner], number)

    def _open_container(self, database: Database, number: int) -> Container:
        row = self.store.execute(
            "SELECT id, rid, ts, ranges, definition, lsn_floor, rid_floor, offer FROM containers WHERE number=?",
            (number,),
        ).fetchone()
        container = Container(self.store, number, (database.id, database.rid), row[:7])
        database.containers[container.id] = container
        if row[7]:
            self.offers[number] = orjson.loads(row[7])
        return container

    def database(self, name: str) -> Database:
        found = self.databases.get(name)
        if found is None:
            found = next((database for database in self.databases.values() if database.rid == name), None)
        if found is None:
            raise not_found("Resource Not Found: the database does not exist.")
        return found

    def container(self, database: str, name: str) -> Container:
        owner = self.database(database)
        found = owner.containers.get(name)
        if found is None:
            found = next((container for container in owner.containers.values() if container.rid == name), None)
        if found is None:
            raise not_found("Resource Not Found: the container does not exist.")
        return found

    def create_database(self, body: Any, offer: Offer | None = None) -> Database:
        name = _check_name(body.get("id") if isinstance(body, dict) else None)
        if name in self.databases:
            raise conflict()
        rid, created_at = rids.new_database_rid(), int(self.store.clock())
        number = self.store.execute(
            "INSERT INTO databases(id, rid, ts, offer) VALUES (?, ?, ?, ?)",
            (name, rid, created_at, orjson.dumps(offer).decode() if offer else None),
        ).lastrowid
        database = self.databases[name] = Database(number or 0, name, rid, created_at, offer)
        return database

    def create_container(
        self, database: Database, body: Any, *, offer: Offer | None = None, ranges: int | None = None
    ) -> Container:
        name = _check_name(body.get("id") if isinstance(body, dict) else None)
        definition = {key: value for key, value in body.items() if key not in _SYSTEM}
        definition["partitionKey"] = {"kind": "Hash", "version": 2, **(definition.get("partitionKey") or {})}
        KeyDefinition(definition["partitionKey"])
        _check_ttl(definition)
        if name in database.containers:
            raise conflict()
        definition["indexingPolicy"] = _complete_indexing(definition.get("indexingPolicy"))
        definition.setdefault("conflictResolutionPolicy", _DEFAULT_CONFLICTS)
        definition.setdefault("geospatialConfig", {"type": "Geography"})
        offer = offer or (None if database.offer else {"offerThroughput": DEFAULT_THROUGHPUT})
        values = (
            database.number,
            name,
            rids.new_container_rid(database.rid),
            int(self.store.clock()),
            ranges or self.ranges,
            orjson.dumps(definition).decode(),
            orjson.dumps(offer).decode() if offer else None,
        )
        with self.store.transaction():
            number = self.store.execute(
                "INSERT INTO containers(database, id, rid, ts, ranges, definition, offer) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            ItemTable.create(self.store, number or 0)
            UniqueKeys(self.store, number or 0, definition.get("uniqueKeyPolicy")).create_table()
        return self._open_container(database, number or 0)

    def replace_container(self, container: Container, body: Any) -> None:
        if not isinstance(body, dict):
            raise bad_request("The request body must be a JSON object.")
        definition = {key: value for key, value in body.items() if key not in _SYSTEM}
        for name in _FIXED:
            old, new = container.definition.get(name), definition.get(name, container.definition.get(name))
            if name == "partitionKey":
                old, new = (old or {}).get("paths"), (new or {}).get("paths")
            if old != new:
                raise bad_request(f"The '{name}' of a container cannot be changed.")
            if name in container.definition:
                definition[name] = container.definition[name]
        _check_ttl(definition)
        definition["indexingPolicy"] = _complete_indexing(definition.get("indexingPolicy"))
        definition.setdefault("conflictResolutionPolicy", _DEFAULT_CONFLICTS)
        ttl_changed = definition.get("defaultTtl") != container.default_ttl
        with self.store.transaction():
            self.store.execute(
                "UPDATE containers SET definition=? WHERE number=?",
                (orjson.dumps(definition).decode(), container.number),
            )
            container.use_definition(definition)
            if ttl_changed:
                container.recompute_expiry()

    def set_offer(self, owner: Database | Container, offer: Offer) -> None:
        table = "databases" if isinstance(owner, Database) else "containers"
        self.store.execute(f"UPDATE {table} SET offer=? WHERE number=?", (orjson.dumps(offer).decode(), owner.number))  # noqa: S608 - one of two fixed names
        if isinstance(owner, Database):
            owner.offer = offer
        else:
            self.offers[owner.number] = offer

    def delete_container(self, database: Database, container: Container) -> None:
        with self.store.transaction():
            container.table.drop()
            container.unique.drop_table()
            self.store.execute("DELETE FROM containers WHERE number=?", (container.number,))
        container.is_dropped = True
        database.containers.pop(container.id)
        self.offers.pop(container.number, None)

    def delete_database(self, database: Database) -> None:
        with self.store.transaction():
            for container in list(database.containers.values()):
                self.delete_container(database, container)
            self.store.execute("DELETE FROM databases WHERE number=?", (database.number,))
        self.databases.pop(database.id)

    def apply_topology(self, topology: Any) -> None:
        """Creates the database and containers of a topology file that are absent; changes nothing that exists."""
        if not isinstance(topology, dict) or "database" not in topology:
            raise bad_request("The topology needs a 'database' and a list of 'containers'.")
        name = topology["database"]
        database = self.databases.get(name) or self.create_database({"id": name})
        for entry in topology.get("containers", []):
            if not isinstance(entry, dict) or not {"id", "partitionKey"} <= entry.keys():
                raise bad_request(f"A container of the topology needs 'id' and 'partitionKey': {entry}")
            if entry["id"] in database.containers:
                continue
            paths = entry["partitionKey"]
            paths = [paths] if isinstance(paths, str) else paths
            body = {key: value for key, value in entry.items() if key not in ("throughput", "ranges")}
            body["partitionKey"] = {"paths": paths, "kind": "Hash" if len(paths) == 1 else "MultiHash", "version": 2}
            offer = {"offerThroughput": entry["throughput"]} if "throughput" in entry else None
            self.create_container(database, body, offer=offer, ranges=entry.get("ranges"))
            logger.info("container created", extra={"container": entry["id"]})


def describe_container(container: Container) -> dict[str, Any]:
    return {
        **container.definition,
        "_rid": container.rid,
        "_ts": container.created_at,
        "_self": container.self_link,
        "_etag": f'"{container.created_at:08x}-0000-0000-0000-{container.number:012x}"',
        "_docs": "docs/",
        "_sprocs": "sprocs/",
        "_triggers": "triggers/",
        "_udfs": "udfs/",
        "_conflicts": "conflicts/",
    }
