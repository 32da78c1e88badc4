"""The clocks of provider accounts in Cosmos DB (container ``rate-limits``), and the time they go by.

A lease is one patch: the clock is moved on where it is ahead of now, or set from now where it has fallen behind. Either
is conditional and done inside the store, so any number of workers may lease at once and nothing is read first.
"""

import asyncio
import time
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors

CONTAINER = "rate-limits"
_SET_CLOCK_EVERY_SECONDS = 30.0  # a machine's monotonic clock drifts by less than a millisecond in that time
_READINGS = 3
_MS = 1000.0


class CosmosLeases:
    """LeaseStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database
        self._offset = 0.0
        self._set_at = float("-inf")
        self._setting = asyncio.Lock()

    async def now(self) -> float:
        if time.monotonic() - self._set_at > _SET_CLOCK_EVERY_SECONDS:
            async with self._setting:
                if time.monotonic() - self._set_at > _SET_CLOCK_EVERY_SECONDS:
                    await self._set_clock()
        return time.monotonic() + self._offset

    async def _set_clock(self) -> None:
        """Learns how far the store's clock is from this process's, from the quickest of a few readings."""
        readings = []
        for _ in range(_READINGS):
            asked = time.monotonic()
            stored = await self._read_store_time()
            answered = time.monotonic()
            readings.append((answered - asked, stored - (asked + answered) / 2))
        self._offset = min(readings)[1]
        self._set_at = time.monotonic()

    async def _read_store_time(self) -> float:
        async with store_errors():
            pages = self._container.query_items(cosmos_queries.STORE_TIME, partition_key="clock")
            milliseconds: Any = await anext(aiter(pages))
            return float(milliseconds) / _MS

    async def lease(self, account: str, shard: int, seconds: float, now: float, until: float) -> float | None:
        latest_start = until - seconds
        document = f"clock-{shard}"
        if latest_start < now:
            return None
        moved = await self._patch(
            account,
            document,
            {"op": "incr", "path": "/givenUntil", "value": seconds},
            f"from c where c.givenUntil >= {now!r} and c.givenUntil <= {latest_start!r}",
        )
        if moved is None:
            moved = await self._patch(
                account,
                document,
                {"op": "set", "path": "/givenUntil", "value": now + seconds},
                f"from c where c.givenUntil < {now!r}",
            )
        return None if moved is None else moved - seconds

    async def _patch(self, account: str, document: str, operation: dict[str, Any], condition: str) -> float | None:
        """Where the clock stands after the patch; None when the condition did not hold."""
        try:
            async with store_errors(PRECONDITION_FAILED, NOT_FOUND):
                patched = await self._container.patch_item(document, account, [operation], filter_predicate=condition)
        except CosmosHttpResponseError as error:
            if error.status_code == NOT_FOUND:
                await self._create(account, document)
            return None
        return float(patched["givenUntil"])

    async def _create(self, account: str, document: str) -> None:
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item({"id": document, "partitionKey": account, "givenUntil": 0.0})
        except CosmosHttpResponseError:
            return  # another worker made it first

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)
