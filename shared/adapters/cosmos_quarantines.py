"""Quarantines in Cosmos DB: one document for each subject, all in one partition of the container ``rate-limits``.

A subject has one document for good: it is active, or was released and may become active again. Every change is
conditional on the version that was read, so of two processes that brake at once one opens and the other finds it open.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.cosmos_limits import CONTAINER
from shared.contracts.stored_documents import stamp
from shared.domain.errors import NotFound, StoreUnavailable
from shared.domain.notification import Category, Lane
from shared.domain.quarantine import Because, Quarantine, Subject

_PARTITION = "quarantines"
_RACES = 5
_COUNTED_AT_ONCE = 10  # operations of one patch
_LITERAL = "(content)"  # no template can have this name


class CosmosQuarantines:
    """QuarantineStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def list_all(self) -> Sequence[Quarantine]:
        return await self._query(cosmos_queries.QUARANTINES)

    async def active(self) -> Sequence[Quarantine]:
        return await self._query(cosmos_queries.ACTIVE_QUARANTINES)

    async def _query(self, query: str) -> Sequence[Quarantine]:
        async with store_errors():
            found = self._container.query_items(query, partition_key=_PARTITION)
            return [_quarantine(document) async for document in found]

    async def open(self, wanted: Quarantine, *, unless_released_after: datetime | None = None) -> Quarantine:
        for _ in range(_RACES):
            document = await self._read(wanted.id)
            if document is None:
                if await self._create(wanted):
                    return wanted
                continue
            known = _quarantine(document)
            is_recent = unless_released_after and known.released_at and known.released_at > unless_released_after
            if known.is_active or is_recent:
                return known
            if await self._replace(wanted, document["_etag"]):
                return wanted
        raise StoreUnavailable("the quarantine changed under every attempt")

    async def release(self, quarantine_id: str, by: str, at: datetime) -> Quarantine:
        for _ in range(_RACES):
            document = await self._read(quarantine_id)
            if document is None:
                raise NotFound(quarantine_id)
            known = _quarantine(document)
            if not known.is_active:
                return known
            released = replace(known, released_at=at, released_by=by)
            if await self._replace(released, document["_etag"]):
                return released
        raise StoreUnavailable("the quarantine changed under every attempt")

    async def add_held(self, quarantine_id: str, held: Mapping[str, int]) -> None:
        counts = [(template or _LITERAL, count) for template, count in held.items() if count > 0]
        for start in range(0, len(counts), _COUNTED_AT_ONCE):
            part = counts[start : start + _COUNTED_AT_ONCE]
            operations = [{"op": "incr", "path": f"/held/{name}", "value": count} for name, count in part]
            try:
                async with store_errors(PRECONDITION_FAILED, NOT_FOUND):
                    await self._container.patch_item(
                        quarantine_id, _PARTITION, operations, filter_predicate="from c where c.state = 'active'"
                    )
            except CosmosHttpResponseError:
                return  # released meanwhile: nobody counts any more

    async def _read(self, quarantine_id: str) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(quarantine_id, _PARTITION)
        except CosmosHttpResponseError:
            return None

    async def _create(self, quarantine: Quarantine) -> bool:
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item(_document(quarantine))
        except CosmosHttpResponseError:
            return False
        return True

    async def _replace(self, quarantine: Quarantine, etag: str) -> bool:
        try:
            async with store_errors(PRECONDITION_FAILED, NOT_FOUND):
                await self._container.replace_item(
                    quarantine.id, _document(quarantine), etag=etag, match_condition=MatchConditions.IfNotModified
                )
        except CosmosHttpResponseError:
            await asyncio.sleep(0)
            return False
        return True

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _document(quarantine: Quarantine) -> dict[str, Any]:
    return {
        "id": quarantine.id,
        "partitionKey": _PARTITION,
        "type": "quarantine",
        "state": "active" if quarantine.is_active else "released",
        "tenantId": quarantine.subject.tenant_id,
        "templateId": quarantine.subject.template_id,
        "since": stamp(quarantine.since),
        "because": quarantine.because.value,
        "openedBy": quarantine.opened_by,
        "lanes": sorted(lane.value for lane in quarantine.lanes),
        "categories": sorted(category.value for category in quarantine.categories),
        "evidence": dict(quarantine.evidence),
        "note": quarantine.note,
        "held": {name or _LITERAL: count for name, count in quarantine.held.items()},
        "releasedAt": stamp(quarantine.released_at),
        "releasedBy": quarantine.released_by,
    }


def _quarantine(document: Mapping[str, Any]) -> Quarantine:
    released_at = document.get("releasedAt")
    return Quarantine(
        subject=Subject(document["tenantId"], document.get("templateId")),
        since=datetime.fromisoformat(document["since"]),
        because=Because(document["because"]),
        opened_by=document["openedBy"],
        lanes=frozenset(map(Lane, document["lanes"])),
        categories=frozenset(map(Category, document["categories"])),
        evidence=document.get("evidence", {}),
        note=document.get("note"),
        held={"" if name == _LITERAL else name: count for name, count in document.get("held", {}).items()},
        released_at=datetime.fromisoformat(released_at) if released_at else None,
        released_by=document.get("releasedBy"),
    )
