"""``customer-timeline`` in Cosmos DB: pages of the index, one document each, in the partition of a tenant and day.

A page is created, or replaced by its union with what is stored, on condition of the version that was read. So whatever
is written again, by whomever, ends in the same pages. A batch of 100 that was committed together is one document.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import (
    CONFLICT,
    NOT_FOUND,
    PRECONDITION_FAILED,
    CosmosDatabase,
    read_by_ids,
    store_errors,
)
from shared.adapters.cosmos_notifications import CONTAINER as TRACKING
from shared.contracts.stored_documents import Document, notification_of
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId, TrackingId, partition_of
from shared.domain.notification import Notification
from shared.domain.timeline import Entry, Page, Wanted, merged, pages_of

CONTAINER = "customer-timeline"
_RACES = 5
_OPERATIONS = 100  # of one transactional batch
_READS_AT_ONCE = 20


class CosmosTimeline:
    """TimelineStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def add(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        by_partition: dict[str, list[Page]] = defaultdict(list)
        for page in pages_of(tenant, entries):
            by_partition[page.partition].append(page)
        for partition, pages in by_partition.items():
            for start in range(0, len(pages), _OPERATIONS):
                await self._add_pages(partition, pages[start : start + _OPERATIONS])

    async def _add_pages(self, partition: str, pages: Sequence[Page]) -> None:
        """Most pages are new, so that is tried first; what is stored is read only when one was not."""
        stored: Mapping[str, Document] = {}
        for _ in range(_RACES):
            if await self._write(partition, list(_writes(pages, stored))):
                return
            stored = await self._read_pages(partition, [page.name for page in pages])
        raise StoreUnavailable("too many writers of one page of the index")

    async def _write(self, partition: str, writes: Sequence[tuple[Any, ...]]) -> bool:
        """Whether everything was written; False when something of it is stored otherwise."""
        if not writes:
            return True
        container = self._database.container(CONTAINER)
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                await container.execute_item_batch(writes, partition, no_response=True)
        except CosmosBatchOperationError:
            return False
        return True

    async def _read_pages(self, partition: str, names: Sequence[str]) -> Mapping[str, Document]:
        return {each["id"]: each for each in await self._read(CONTAINER, partition, names)}

    async def newest(self, wanted: Wanted, limit: int) -> Sequence[Page]:
        terms = {f"@term{number}": term for number, term in enumerate(wanted.terms)}
        values = {"@oldest": wanted.oldest, "@newest": wanted.newest, "@limit": limit, **terms}
        async with store_errors():
            pages = self._database.container(CONTAINER).query_items(
                cosmos_queries.timeline_pages(len(terms)),
                parameters=[{"name": name, "value": value} for name, value in values.items()],
                partition_key=wanted.partition,
                max_item_count=_OPERATIONS,
            )
            return [_page_of(document) async for document in pages]

    async def read_all(self, tenant: TenantId, ids: Sequence[TrackingId]) -> Mapping[TrackingId, Notification]:
        by_partition: dict[str, list[TrackingId]] = defaultdict(list)
        for tracking_id in ids:
            by_partition[partition_of(tenant, tracking_id)].append(tracking_id)
        gate = asyncio.Semaphore(_READS_AT_ONCE)

        async def read(partition: str, names: Sequence[TrackingId]) -> list[Document]:
            async with gate:
                return await self._read(TRACKING, partition, names)

        groups = await asyncio.gather(*(read(*group) for group in by_partition.items()))
        return {TrackingId(each["id"]): notification_of(each) for group in groups for each in group}

    async def _read(self, container: str, partition: str, names: Sequence[str]) -> list[Document]:
        if len(names) > 1:
            return list((await read_by_ids(self._database.container(container), partition, names)).values())
        try:
            async with store_errors(NOT_FOUND):
                return [await self._database.container(container).read_item(names[0], partition)]
        except CosmosHttpResponseError:
            return []


def _writes(pages: Iterable[Page], stored: Mapping[str, Document]) -> Iterable[tuple[Any, ...]]:
    for page in pages:
        known = stored.get(page.name)
        if known is None:
            yield ("create", (_page_document(page),))
            continue
        before = _page_of(known)
        after = merged(before, page.entries)
        if len(after.entries) > len(before.entries):
            yield ("replace", (page.name, _page_document(after)), {"if_match_etag": known["_etag"]})


def _page_document(page: Page) -> Document:
    return {
        "id": page.name,
        "partitionKey": page.partition,
        "type": "page",
        "schemaVersion": 1,
        "window": page.window,
        "terms": sorted({term for entry in page.entries for term in entry.terms}),
        "entries": [[entry.tracking_id, *entry.terms] for entry in page.entries],
    }


def _page_of(document: Document) -> Page:
    return Page(
        document["partitionKey"],
        document["id"],
        tuple(Entry(TrackingId(name), tuple(terms)) for name, *terms in document["entries"]),
    )
