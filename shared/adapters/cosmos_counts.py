"""Counts in windows of time in Cosmos DB (container ``rate-limits``): one document for each count.

Counting is one patch, conditional on the total. Only the first to count in a new bucket of time reads the document
and writes it anew, without the buckets that have left the window. Documents expire when nothing in them counts.
"""

import asyncio
import random
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.cosmos_limits import CONTAINER, CosmosLeases
from shared.domain.errors import StoreUnavailable
from shared.domain.window import Count

_RACES = 10
_MOST_TOTALS = 10_000  # that are remembered, to tell what is left


class CosmosCounts:
    """CountStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, leases: CosmosLeases) -> None:
        self._database = database
        self._leases = leases
        self._totals: dict[Count, int] = {}

    async def now(self) -> float:
        return await self._leases.now()

    async def take(self, count: Count, amount: int, cap: int) -> int | None:
        if amount > cap:
            return None
        for race in range(_RACES):
            bucket = count.window.bucket_at(await self.now())
            if await self._add(count, amount, bucket, f"c.bucket = {bucket} and c.total <= {cap - amount}"):
                return bucket
            document = await self._read(count)
            if document is None:
                await self._create(count, bucket)
            elif document["bucket"] < bucket:
                await self._turn_over(count, document, bucket)
            elif document["bucket"] == bucket and document["total"] > cap - amount:
                return None
            else:
                # Somebody was faster, or this process's time is some milliseconds behind.
                await asyncio.sleep(random.uniform(0, 0.005 * (race + 1)))  # noqa: S311 - spreads load
        raise StoreUnavailable("the count changed under every attempt")

    def seen(self, count: Count) -> int | None:
        return self._totals.get(count)

    async def give_back(self, count: Count, amount: int, bucket: int) -> None:
        await self._add(count, -amount, bucket, f"is_defined(c.buckets.b{bucket})")

    async def _add(self, count: Count, amount: int, bucket: int, condition: str) -> bool:
        operations = [
            {"op": "incr", "path": "/total", "value": amount},
            {"op": "incr", "path": f"/buckets/b{bucket}", "value": amount},
        ]
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                counted = await self._container.patch_item(
                    count.name, count.account, operations, filter_predicate=f"from c where {condition}"
                )
        except CosmosHttpResponseError:
            return False
        if len(self._totals) >= _MOST_TOTALS:
            self._totals.clear()
        self._totals[count] = counted["total"]
        return True

    async def _read(self, count: Count) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(count.name, count.account)
        except CosmosHttpResponseError:
            return None

    async def _create(self, count: Count, bucket: int) -> None:
        document = {
            "id": count.name,
            "partitionKey": count.account,
            "type": "count",
            "bucket": bucket,
            "total": 0,
            "buckets": {f"b{bucket}": 0},
            "ttl": count.window.kept_seconds(),
        }
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item(document, no_response=True)
        except CosmosHttpResponseError:
            return  # another process made it first

    async def _turn_over(self, count: Count, document: dict[str, Any], bucket: int) -> None:
        counted = {
            name: amount
            for name, amount in document["buckets"].items()
            if count.window.is_counted(int(name.removeprefix("b")), bucket)
        }
        changed = document | {
            "bucket": bucket,
            "total": sum(counted.values()),
            "buckets": counted | {f"b{bucket}": 0},
        }
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                await self._container.replace_item(
                    count.name,
                    changed,
                    etag=document["_etag"],
                    match_condition=MatchConditions.IfNotModified,
                )
        except CosmosHttpResponseError:
            return  # somebody counted or turned it over in between: seen at the next attempt

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)
