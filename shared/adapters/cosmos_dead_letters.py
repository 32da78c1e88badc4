"""``dead-letters`` in Cosmos DB: one document for each letter, in the partition of its tenant and day.

A letter's id is made from what died, so filing again changes nothing but the count of copies.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.contracts.dead_letter_documents import (
    OPEN,
    REPLAYED,
    letter_document,
    letter_of,
    mark_document,
    partition_of,
)
from shared.contracts.stored_documents import Document, stamp
from shared.domain.dead_letter import DeadLetter, ReplayMark, Selection, day_of, name_of
from shared.domain.errors import NotFound
from shared.domain.identifiers import TenantId

logger = logging.getLogger(__name__)

CONTAINER = "dead-letters"
_ALWAYS = "from c where true"


class CosmosDeadLetters:
    """DeadLetterStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def file(self, letter: DeadLetter) -> bool:
        document = letter_document(letter)
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item(document, no_response=True)
        except CosmosHttpResponseError:
            await self._patch(letter, [{"op": "incr", "path": "/copies", "value": 1}], _ALWAYS)
            return False
        return True

    async def read(self, tenant: TenantId, letter_id: str) -> DeadLetter:
        day, _, name = letter_id.partition(".")
        document = await self._read(partition_of(tenant, day), name)
        if document is None or document["type"] != "dead-letter":
            raise NotFound(letter_id)
        return letter_of(document)

    async def _read(self, partition: str, name: str) -> Document | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(name, partition)
        except CosmosHttpResponseError:
            return None

    async def newest(self, selection: Selection, day: str, before: str | None, limit: int) -> Sequence[DeadLetter]:
        edges = {"@since": stamp(selection.since), "@until": before or stamp(selection.until)}
        return await self._page(selection, day, edges, cosmos_queries.NEWEST_FIRST, limit)

    async def oldest(self, selection: Selection, day: str, after: str | None, limit: int) -> Sequence[DeadLetter]:
        # "!" sorts before everything that a position may hold, so this is the first place after the one given.
        edges = {"@since": f"{after}!" if after else stamp(selection.since), "@until": stamp(selection.until)}
        return await self._page(selection, day, edges, cosmos_queries.OLDEST_FIRST, limit)

    async def _page(
        self, selection: Selection, day: str, edges: dict[str, Any], order: str, limit: int
    ) -> Sequence[DeadLetter]:
        values = {**edges, "@limit": limit, **dict(_wanted(selection)), "@day": day}
        query = cosmos_queries.dead_letters((name.removeprefix("@") for name, _ in _wanted(selection)), order)
        options: dict[str, Any] = {"parameters": _parameters(values), "max_item_count": limit}
        if selection.tenant:
            options["partition_key"] = partition_of(selection.tenant, day)
        async with store_errors():
            pages = self._container.query_items(query, **options)
            return [letter_of(document) async for document in pages]

    async def count(self, selection: Selection) -> int:
        tenant = [("@tenantId", selection.tenant)] if selection.tenant else []
        wanted = [*_wanted(selection), *tenant]
        edges = {"@since": stamp(selection.since), "@until": stamp(selection.until)}
        values = {**edges, **dict(wanted), "@first": day_of(selection.since), "@last": day_of(selection.until)}
        query = cosmos_queries.count_dead_letters(name.removeprefix("@") for name, _ in wanted)
        async with store_errors():
            pages = self._container.query_items(query, parameters=_parameters(values))
            return sum([number async for number in pages])  # type: ignore[misc]  # SELECT VALUE gives numbers

    async def take(self, letter: DeadLetter, mark: ReplayMark) -> bool:
        taken: list[dict[str, Any]] = [
            {"op": "set", "path": "/state", "value": REPLAYED},
            {"op": "set", "path": "/replay", "value": mark_document(mark)},
        ]
        if await self._patch(letter, taken, f"from c where c.state = '{OPEN}'"):
            return True
        document = await self._read(partition_of(letter.tenant_id, letter.day), name_of(letter.story))
        return document is not None and document["replay"]["id"] == mark.replay_id

    async def _patch(self, letter: DeadLetter, operations: list[dict[str, Any]], condition: str) -> bool:
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                await self._container.patch_item(
                    name_of(letter.story),
                    partition_of(letter.tenant_id, letter.day),
                    operations,
                    filter_predicate=condition,
                    no_response=True,
                )
        except CosmosHttpResponseError:
            return False
        return True

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _wanted(selection: Selection) -> Iterator[tuple[str, Any]]:
    """The selection's conditions as parameters, named as the query names them."""
    if selection.tag:
        yield "@tag", selection.tag.value
    if selection.channel:
        yield "@channel", selection.channel
    if selection.template:
        yield "@template", selection.template
    if selection.or_taken_by:
        yield "@takenBy", selection.or_taken_by
    elif selection.is_open is not None:
        yield "@state", OPEN if selection.is_open else REPLAYED


def _parameters(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]
