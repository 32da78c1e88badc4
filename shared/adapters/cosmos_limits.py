"""The clocks of limited accounts in Cosmos DB (container ``rate-limits``), and the time they go by.

A lease is one patch: the clock is moved on where it is ahead of now, or set from now where it has fallen behind. Either
is conditional and done inside the store, so any number of workers may lease at once and nothing is read first. A queue
is a clock of the same kind that nobody leases from: it says when the work that was sent to wait will have had its turn.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import (
    CONFLICT,
    NOT_FOUND,
    PRECONDITION_FAILED,
    CosmosDatabase,
    store_errors,
    store_time,
)
from shared.domain.errors import StoreUnavailable

CONTAINER = "rate-limits"
_SET_CLOCK_EVERY_SECONDS = 30.0  # a machine's monotonic clock drifts by less than a millisecond in that time
_READINGS = 3
_MORE_READINGS = 5  # as long as the quickest was slower than this, which a busy process needs when it starts
_QUICK_SECONDS = 0.02
_LARGEST_ERROR_SECONDS = 0.015  # what is more uncertain than that is not paid for with calls that may never start
_MS = 1000.0
_RACES = 5


class CosmosLeases:
    """TurnStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._offset = 0.0
        self._error = 0.0
        self._set_at = float("-inf")
        self._setting = asyncio.Lock()

    async def now(self) -> float:
        if self._is_stale():
            async with self._setting:
                if self._is_stale():
                    await self._set_clock()
        return self._monotonic() + self._offset

    def error(self) -> float:
        return self._error

    def _is_stale(self) -> bool:
        return self._monotonic() - self._set_at > _SET_CLOCK_EVERY_SECONDS

    async def _set_clock(self) -> None:
        """Learns how far the store's clock is from this process's, from the quickest of a few readings."""
        readings: list[tuple[float, float]] = []
        while len(readings) < _READINGS or (
            min(readings)[0] > _QUICK_SECONDS and len(readings) < _READINGS + _MORE_READINGS
        ):
            asked = self._monotonic()
            stored = await store_time(self._container, "clock")
            answered = self._monotonic()
            readings.append((answered - asked, stored - (asked + answered) / 2))
        took, self._offset = min(readings)
        # The store read its clock somewhere between question and answer, and rounded it to a millisecond.
        self._error = min(took / 2 + 1 / _MS, _LARGEST_ERROR_SECONDS)
        self._set_at = self._monotonic()

    async def lease(self, account: str, shard: int, seconds: float, earliest: float, latest: float) -> float | None:
        return await self._advance(account, _clock(shard), seconds, earliest, f" and c.givenUntil <= {latest!r}")

    async def given_until(self, account: str, shard: int) -> float:
        return await self._read(account, _clock(shard))

    async def queue(self, account: str, lane: str, seconds: float, now: float) -> float:
        for _ in range(_RACES):
            due = await self._advance(account, _queue(lane), seconds, now, "")
            if due is not None:
                return due
        raise StoreUnavailable("the queue's clock moved under every attempt")

    async def queued_until(self, account: str, lane: str) -> float:
        return await self._read(account, _queue(lane))

    async def _read(self, account: str, clock: str) -> float:
        try:
            async with store_errors(NOT_FOUND):
                return float((await self._container.read_item(clock, account))["givenUntil"])
        except CosmosHttpResponseError:
            return 0.0

    async def _advance(self, account: str, clock: str, seconds: float, earliest: float, limit: str) -> float | None:
        """Moves a clock on, from ``earliest`` at the earliest; where the new time begins, or None where it can't."""
        moved = await self._patch(
            account,
            clock,
            {"op": "incr", "path": "/givenUntil", "value": seconds},
            f"from c where c.givenUntil >= {earliest!r}{limit}",
        )
        if moved is None:
            moved = await self._patch(
                account,
                clock,
                {"op": "set", "path": "/givenUntil", "value": earliest + seconds},
                f"from c where c.givenUntil < {earliest!r}",
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


def _clock(shard: int) -> str:
    return f"clock-{shard}"


def _queue(lane: str) -> str:
    return f"queue-{lane}"
