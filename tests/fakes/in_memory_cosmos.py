"""Cosmos DB at the SDK's seam, in memory: plain documents, and the very patches the app builds.

Behind the real CosmosNotificationStore, so that what the tests exercise are its conditions, its races and its reading
of the SDK's exceptions. Queries are answered by what they are for, recognised by their text.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import orjson
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.adapters import cosmos_queries
from tests.fakes import dead_letter_queries
from tests.fakes.patch_condition import holds
from tests.fakes.steps import Lost, StepsThrough

MAX_PATCH_OPERATIONS = 10
MAX_BATCH_OPERATIONS = 100
MAX_BYTES = 2 * 1024 * 1024  # of a document, and of a transactional batch
_MISSING, _TAKEN, _CONDITION, _TOO_LARGE, _AWAY = 404, 409, 412, 413, 503

_ALL_OF_A_TYPE = {cosmos_queries.DATA_KEYS: "data-key", cosmos_queries.ENDPOINTS: "endpoint"}


def _copy(value: Any) -> Any:
    """As through the wire; also what would not survive it fails here."""
    return orjson.loads(orjson.dumps(value))


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class InMemoryDatabase:
    """Containers by name. ``steps`` sees every call; ``away`` makes every call fail."""

    def __init__(self) -> None:
        self.steps = StepsThrough()
        self.away = False
        self.store_time = lambda: asyncio.get_running_loop().time()
        self._containers: dict[str, InMemoryContainer] = {}

    def container(self, name: str) -> "InMemoryContainer":
        return self._containers.setdefault(name, InMemoryContainer(self))


class InMemoryContainer:
    def __init__(self, database: InMemoryDatabase) -> None:
        self._database = database
        self.away = False
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self._etags = count(1)

    async def _call(self, name: str, effect: Any) -> Any:
        if self._database.away or self.away:
            raise CosmosHttpResponseError(status_code=_AWAY, message="away")
        try:
            async with self._database.steps.around(name):
                return _copy(effect())
        except _Refused as refused:
            raise CosmosHttpResponseError(status_code=refused.status, message=name) from refused
        except Lost as lost:
            raise CosmosHttpResponseError(status_code=_AWAY, message=name) from lost

    async def create_item(self, body: dict[str, Any], *, no_response: bool = False) -> dict[str, Any]:
        created = await self._call("create", lambda: self._create(body))
        return {} if no_response else created

    async def read_item(self, item: str, partition_key: str) -> dict[str, Any]:
        return await self._call("read", lambda: self._get(item, partition_key))

    async def read(self) -> dict[str, Any]:
        return await self._call("read container", dict)

    async def replace_item(self, item: str, body: dict[str, Any], *, etag: str, match_condition: Any) -> dict[str, Any]:
        return await self._call("replace", lambda: self._replace(item, body, etag))

    async def delete_item(self, item: str, partition_key: str) -> None:
        await self._call("delete", lambda: self._delete(item, partition_key))

    async def patch_item(
        self,
        item: str,
        partition_key: str,
        patch_operations: list[dict[str, Any]],
        *,
        filter_predicate: str = "from c where true",
        no_response: bool = False,
    ) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            return self._patch(item, partition_key, patch_operations, filter_predicate)

        patched = await self._call("patch", effect)
        return {} if no_response else patched

    async def execute_item_batch(
        self, operations: Sequence[tuple[Any, ...]], partition_key: str, *, no_response: bool = False
    ) -> Any:
        assert len(operations) <= MAX_BATCH_OPERATIONS
        if self._database.away:
            raise CosmosBatchOperationError(0, {}, _AWAY, "away", [])
        try:
            async with self._database.steps.around(f"batch of {operations[0][0]}"):
                answers = _copy(self._batch(operations, partition_key))
        except Lost as lost:
            raise CosmosHttpResponseError(status_code=_AWAY, message="batch") from lost
        if no_response:
            for answer in answers:
                answer.pop("resourceBody", None)
        return answers

    def query_items(
        self,
        query: str,
        parameters: Sequence[dict[str, Any]] = (),
        partition_key: str | None = None,
        max_item_count: int = 100,
    ) -> AsyncIterator[dict[str, Any]]:
        return self._pages(query, {entry["name"]: entry["value"] for entry in parameters}, partition_key)

    async def _pages(
        self, query: str, values: dict[str, Any], partition_key: str | None
    ) -> AsyncIterator[dict[str, Any]]:
        for document in await self._call("query", lambda: self._select(query, values, partition_key)):
            yield document

    def _select(  # noqa: C901, PLR0911 - one for each query
        self, query: str, values: dict[str, Any], partition_key: str | None
    ) -> list[dict[str, Any]]:
        scope = [doc for (partition, _), doc in self.documents.items() if partition_key in {None, partition}]
        if query == cosmos_queries.STORE_TIME:
            return [int(self._database.store_time() * 1000)]  # type: ignore[list-item] # SELECT VALUE
        if query in {cosmos_queries.QUARANTINES, cosmos_queries.ACTIVE_QUARANTINES}:
            states = {"active", "released"} if query == cosmos_queries.QUARANTINES else {"active"}
            return [document for document in scope if document.get("state") in states]
        if query.startswith("SELECT TOP @limit * FROM c WHERE c.type = 'page'"):
            return _index_pages(scope, values)
        if query == cosmos_queries.API_KEYS:
            return [document for document in scope if document["tenantId"] == values["@tenantId"]]
        if query == cosmos_queries.BY_IDS:
            return [document for document in scope if document["id"] in values["@ids"]]
        if query == cosmos_queries.OWNERS:
            found = [doc for doc in scope if doc["id"] in values["@ids"] and doc["type"] == "notification"]
            return [{name: doc[name] for name in ("id", "partitionKey")} for doc in found]
        if query in _ALL_OF_A_TYPE:
            return [document for document in scope if document["type"] == _ALL_OF_A_TYPE[query]]
        if query == cosmos_queries.SEALED_WITH:
            owner, by = values["@tenant"], values["@by"]
            return [doc for doc in scope if doc["tenantId"] == owner and doc.get("sealed", {}).get("by") == by][:1]
        if query == cosmos_queries.AUDIT_ENTRIES:
            entries = [doc for doc in scope if doc["type"] == "entry" and doc["sequence"] < values["@before"]]
            return sorted(entries, key=lambda entry: -entry["sequence"])[: values["@limit"]]
        if dead_letter_queries.is_about_dead_letters(query):
            return dead_letter_queries.select(query, values, scope)
        assert "wakeAt <= @now" in query, query
        overdue = [doc for doc in scope if doc["type"] == "notification" and _wakes(doc, values["@now"])]
        return overdue[: values["@limit"]]

    def _get(self, item: str, partition: str) -> dict[str, Any]:
        if (partition, item) not in self.documents:
            raise _Refused(_MISSING)
        return self.documents[partition, item]

    def _delete(self, item: str, partition: str) -> None:
        self._get(item, partition)
        del self.documents[partition, item]

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        place = (body["partitionKey"], body["id"])
        if place in self.documents:
            raise _Refused(_TAKEN)
        return self._put(place, body)

    def _put(self, place: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(body, allow_nan=False)) > MAX_BYTES:
            raise _Refused(_TOO_LARGE)
        self.documents[place] = _copy(body) | {"_etag": str(next(self._etags))}
        return self.documents[place]

    def _replace(self, item: str, body: dict[str, Any], etag: str) -> dict[str, Any]:
        if self._get(item, body["partitionKey"])["_etag"] != etag:
            raise _Refused(_CONDITION)
        return self._put((body["partitionKey"], item), body)

    def _patch(self, item: str, partition: str, operations: Sequence[dict[str, Any]], condition: str) -> dict[str, Any]:
        assert len(operations) <= MAX_PATCH_OPERATIONS
        document = self._get(item, partition)
        if not holds(condition, document):
            raise _Refused(_CONDITION)
        changed = _copy(document)
        for operation in operations:
            _apply(operation, changed)
        return self._put((partition, item), changed)

    def _batch(self, operations: Sequence[tuple[Any, ...]], partition: str) -> list[dict[str, Any]]:
        if sum(len(json.dumps(arguments, allow_nan=False)) for _, arguments, *_ in operations) > MAX_BYTES:
            raise CosmosBatchOperationError(0, {}, _TOO_LARGE, "too large", [])
        before = dict(self.documents)
        answers = []
        for index, (kind, arguments, *options) in enumerate(operations):
            try:
                if kind == "create":
                    assert arguments[0]["partitionKey"] == partition
                    body = self._create(arguments[0])
                elif kind == "replace":
                    body = self._replace(*arguments, options[0]["if_match_etag"])
                else:
                    body = self._patch(arguments[0], partition, arguments[1], options[0]["filter_predicate"])
            except _Refused as refused:
                self.documents = before
                raise CosmosBatchOperationError(index, {}, refused.status, kind, []) from refused
            answers.append({"resourceBody": body})
        return answers


def _index_pages(scope: Sequence[dict[str, Any]], values: dict[str, Any]) -> list[dict[str, Any]]:
    terms = {value for name, value in values.items() if name.startswith("@term")}
    found = [
        doc for doc in scope if values["@oldest"] <= doc["window"] <= values["@newest"] and terms.issubset(doc["terms"])
    ]
    return sorted(found, key=lambda page: page["window"], reverse=True)[: values["@limit"]]


def _wakes(document: dict[str, Any], now: str) -> bool:
    return any((delivery.get("wakeAt") or "~") <= now for delivery in document["deliveries"].values())


def _apply(operation: dict[str, Any], document: dict[str, Any]) -> None:
    *parents, last = operation["path"].strip("/").split("/")
    target: Any = document
    for name in parents:
        target = target[int(name)] if isinstance(target, list) else target[name]
    if operation["op"] == "add":
        assert last == "-", operation
        target.append(operation["value"])
    elif operation["op"] == "incr":
        target[last] = target.get(last, 0) + operation["value"]
    elif isinstance(target, list):
        target[int(last)] = operation["value"]
    elif operation["op"] == "incr":
        target[last] = target.get(last, 0) + operation["value"]
    else:
        assert operation["op"] == "set", operation
        target[last] = operation["value"]
