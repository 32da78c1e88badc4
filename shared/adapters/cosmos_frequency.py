"""How often customers were sent to, in Cosmos DB (container ``rate-limits``): one document for a customer and channel.

Read and replaced under its etag, so of several sends at once no more are let through than the cap allows. It exists
for customers who got something that is capped, holds ids and times, and expires with the longest window.
"""

import asyncio
import random
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.cosmos_limits import CONTAINER
from shared.domain.errors import StoreUnavailable
from shared.domain.frequency import counted
from shared.domain.tenant_policy import FrequencyCap

_RACES = 10


class CosmosFrequency:
    """FrequencyStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def count(self, customer: str, channel: str, identity: str, now: float, cap: FrequencyCap) -> bool:
        for race in range(_RACES):
            document = await self._read(customer, channel)
            before: dict[str, float] = document["sends"] if document else {}
            sends = counted(before, identity, now, cap)
            if sends is None:
                return False
            if sends.get(identity) != now or await self._write(customer, channel, document, sends, cap):
                return True
            await asyncio.sleep(random.uniform(0, 0.005 * (race + 1)))  # noqa: S311 - spreads load
        raise StoreUnavailable("the count changed under every attempt")

    async def _read(self, customer: str, channel: str) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(channel, customer)
        except CosmosHttpResponseError:
            return None

    async def _write(
        self, customer: str, channel: str, was: dict[str, Any] | None, sends: dict[str, float], cap: FrequencyCap
    ) -> bool:
        document = {
            "id": channel,
            "partitionKey": customer,
            "type": "frequency",
            "sends": sends,
            "ttl": int(cap.per.total_seconds()) + 1,
        }
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                if was is None:
                    await self._container.create_item(document, no_response=True)
                else:
                    await self._container.replace_item(
                        channel, document, etag=was["_etag"], match_condition=MatchConditions.IfNotModified
                    )
        except CosmosHttpResponseError:
            return False
        return True

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)
