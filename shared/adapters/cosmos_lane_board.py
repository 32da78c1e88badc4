"""The lane board in Cosmos DB: one flat document in the container ``rate-limits``.

A telling is one patch without a condition: counters are incremented inside the store, so any number of processes may
tell at once, and the answer is the whole document, so who tells need not read. Flat, because a patch can create a
property but not its parent: ``email_normal_lag``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, CosmosDatabase, store_errors
from shared.adapters.cosmos_limits import CONTAINER
from shared.domain.lane_telling import LaneEntry, LaneKey, Telling
from shared.domain.notification import Lane

_ID = "lane-board"
_PARTITION = "lanes"
_MAX_OPERATIONS = 10
_NUMBERS = ("lag", "felt", "tellings", "started", "asked")


class CosmosLaneBoard:
    """BoardStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def read(self) -> Mapping[LaneKey, LaneEntry]:
        try:
            async with store_errors(NOT_FOUND):
                document = await self._container.read_item(_ID, _PARTITION)
        except CosmosHttpResponseError:
            return {}
        return _entries(document)

    async def tell(self, tellings: Mapping[LaneKey, Telling]) -> Mapping[LaneKey, LaneEntry]:
        operations = [each for key, telling in tellings.items() for each in _operations(key, telling)]
        document: dict[str, Any] = {}
        # If a later part fails, the parts before it are told again with the next telling: a lane looks busier once.
        for start in range(0, len(operations), _MAX_OPERATIONS):
            document = await self._patch(operations[start : start + _MAX_OPERATIONS])
        return _entries(document)

    async def _patch(self, operations: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.patch_item(_ID, _PARTITION, operations)
        except CosmosHttpResponseError:
            await self._create()
        async with store_errors():
            return await self._container.patch_item(_ID, _PARTITION, operations)

    async def _create(self) -> None:
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item({"id": _ID, "partitionKey": _PARTITION, "type": "lane-board"})
        except CosmosHttpResponseError:
            return  # another process made it first

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _operations(key: LaneKey, telling: Telling) -> Iterator[dict[str, Any]]:
    prefix = f"/{key[0]}_{key[1].value}"
    if telling.lag is not None:
        yield {"op": "set", "path": f"{prefix}_lag", "value": round(telling.lag, 3)}
        yield {"op": "set", "path": f"{prefix}_felt", "value": round(telling.felt, 3)}
        yield {"op": "incr", "path": f"{prefix}_tellings", "value": 1}
    for name, count in (("started", telling.started), ("asked", telling.asked)):
        if count:
            yield {"op": "incr", "path": f"{prefix}_{name}", "value": count}


def _entries(document: Mapping[str, Any]) -> dict[LaneKey, LaneEntry]:
    """The lanes in the document; what another version wrote beside them is left alone."""
    found: dict[LaneKey, dict[str, Any]] = {}
    for name, value in document.items():
        channel, _, rest = name.rpartition("_")[0].rpartition("_")
        number = name.rpartition("_")[2]
        if channel and rest in set(Lane) and number in _NUMBERS:
            found.setdefault((channel, Lane(rest)), {})[number] = value
    return {key: LaneEntry(**numbers) for key, numbers in found.items()}
