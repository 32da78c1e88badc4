"""``audit-logs`` in Cosmos DB: each entry is stored together with the new head of its partition, or not at all.

The head moves only from what the writer saw, so two writers can't both be next and a chain never forks. An entry's id
is made from its event's, so an append whose answer was lost can be made again. A tenant's index names its newest
partitions; it is written before a partition begins, so none is ever left out of the links.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.contracts.stored_documents import Document, stamp
from shared.domain.audit_chain import (
    AuditEntry,
    AuditFact,
    Head,
    chained,
    expires_at,
    head_after,
    partition_of,
    shard_of,
)
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId

logger = logging.getLogger(__name__)

CONTAINER = "audit-logs"
RACES = 20  # lost to other writers before the caller is told to come back
_HEAD, _INDEX = "head", "newest"
_HEAD_OUTLIVES = timedelta(days=1)  # a head that expired first would make its entries look wrong
_PAUSE_SECONDS = 0.02
_HEADS_REMEMBERED = 1000


class CosmosAuditLog:
    """AuditLog over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._database = database
        self._pause_seconds = pause_seconds
        self._heads: dict[str, Head] = {}  # as this process left them; somebody else may have gone on

    async def append(self, fact: AuditFact) -> None:
        partition = partition_of(fact.tenant_id, fact.at, fact.shard)
        for race in range(RACES):
            head = self._heads.pop(partition, None) or await self.head(partition)
            follows = () if head.count else await self._begin(fact.tenant_id, partition)
            entry = chained(fact, head, follows)
            if await self._store(entry):
                return
            await asyncio.sleep(random.uniform(0, self._pause_seconds * (race + 1)))  # noqa: S311 - spreads load
        raise StoreUnavailable("too many writers of one audit chain")

    def _remember(self, head: Head) -> None:
        self._heads[head.partition] = head
        if len(self._heads) > _HEADS_REMEMBERED:
            del self._heads[next(iter(self._heads))]

    async def _store(self, entry: AuditEntry) -> bool:
        """Whether the entry is in the chain; False when another writer was faster."""
        operations = [("create", (_entry_document(entry),)), _move_head(entry)]
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                await self._database.container(CONTAINER).execute_item_batch(
                    operations, entry.partition, no_response=True
                )
        except CosmosBatchOperationError as error:
            return error.error_index == 0 and error.status_code == CONFLICT  # stored by an earlier try
        self._remember(head_after(entry))
        # The line is a second place that knows the head: who rewrites the chain would have to rewrite the logs, too.
        logger.info(
            "Audit entry appended",
            extra={"partition": entry.partition, "sequence": entry.sequence, "hash": entry.hash},
        )
        return True

    async def _begin(self, tenant: TenantId, partition: str) -> Sequence[Head]:
        """What the partition's first entry follows; the tenant's index names the partition from here on."""
        while True:
            index = await self._read(_index_of(tenant), _INDEX)
            newest: list[str] = index["partitions"] if index else []
            follows = await self._down_to_entries([name for name in newest if name != partition])
            wanted = [partition, *(head.partition for head in follows)]
            if newest[:1] == [partition] or await self._name_newest(tenant, wanted, index):
                return follows

    async def _down_to_entries(self, partitions: Sequence[str]) -> Sequence[Head]:
        follows = []
        for name in partitions:
            follows.append(await self.head(name))
            if follows[-1].count:
                break
        return follows

    async def _name_newest(self, tenant: TenantId, partitions: Sequence[str], index: Document | None) -> bool:
        container = self._database.container(CONTAINER)
        document: Document = {
            "id": _INDEX,
            "partitionKey": _index_of(tenant),
            "type": "index",
            "partitions": list(partitions),
            "ttl": -1,
        }
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                if index is None:
                    await container.create_item(document, no_response=True)
                else:
                    await container.replace_item(
                        _INDEX, document, etag=index["_etag"], match_condition=MatchConditions.IfNotModified
                    )
        except CosmosHttpResponseError:
            return False
        return True

    async def newest(self, tenant: TenantId) -> Sequence[str]:
        index = await self._read(_index_of(tenant), _INDEX)
        return list(index["partitions"]) if index else []

    async def head(self, partition: str) -> Head:
        document = await self._read(partition, _HEAD)
        return Head(partition, document["count"], document["hash"]) if document else Head(partition)

    async def entries(self, partition: str, before: int, limit: int) -> Sequence[AuditEntry]:
        async with store_errors():
            pages = self._database.container(CONTAINER).query_items(
                cosmos_queries.AUDIT_ENTRIES,
                parameters=[{"name": "@before", "value": before}, {"name": "@limit", "value": limit}],
                partition_key=partition,
                max_item_count=limit,
            )
            return [_entry_of(document) async for document in pages]

    async def _read(self, partition: str, document_id: str) -> Document | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._database.container(CONTAINER).read_item(document_id, partition)
        except CosmosHttpResponseError:
            return None


def _index_of(tenant: TenantId) -> str:
    return f"{tenant}:index"


def _ttl_seconds(partition: str, at: datetime) -> int:
    return max(1, int((expires_at(partition) - at).total_seconds()))


def _move_head(entry: AuditEntry) -> tuple[Any, ...]:
    """The batch's operation that makes ``entry`` the last of its partition, if it is the next."""
    head = head_after(entry)
    ttl = _ttl_seconds(entry.partition, entry.fact.at) + int(_HEAD_OUTLIVES.total_seconds())
    fields = {"count": head.count, "hash": head.hash, "ttl": ttl}
    if entry.sequence == 1:
        return ("create", ({"id": _HEAD, "partitionKey": entry.partition, "type": "head", **fields},))
    operations = [{"op": "set", "path": f"/{name}", "value": value} for name, value in fields.items()]
    condition = f"from c where c.count = {entry.sequence - 1} and c.hash = '{entry.previous_hash}'"
    return ("patch", (_HEAD, operations), {"filter_predicate": condition})


def _entry_document(entry: AuditEntry) -> Document:
    fact = entry.fact
    return {
        "id": f"entry-{hashlib.sha256(fact.event_id.encode()).hexdigest()[:32]}",
        "partitionKey": entry.partition,
        "type": "entry",
        "schemaVersion": 1,
        "sequence": entry.sequence,
        "eventId": fact.event_id,
        "tenantId": fact.tenant_id,
        "at": stamp(fact.at),
        "actor": fact.actor,
        "action": fact.action,
        "subject": fact.subject,
        "detail": dict(fact.detail),
        "previousHash": entry.previous_hash,
        "hash": entry.hash,
        "follows": [{"partition": each.partition, "count": each.count, "hash": each.hash} for each in entry.follows],
        "ttl": _ttl_seconds(entry.partition, fact.at),
    }


def _entry_of(document: Document) -> AuditEntry:
    return AuditEntry(
        partition=document["partitionKey"],
        sequence=document["sequence"],
        fact=AuditFact(
            event_id=document["eventId"],
            tenant_id=TenantId(document["tenantId"]),
            at=datetime.fromisoformat(document["at"]),
            actor=document["actor"],
            action=document["action"],
            subject=document["subject"],
            detail=document["detail"],
            shard=shard_of(document["partitionKey"]),
        ),
        previous_hash=document["previousHash"],
        hash=document["hash"],
        follows=tuple(Head(each["partition"], each["count"], each["hash"]) for each in document["follows"]),
    )
