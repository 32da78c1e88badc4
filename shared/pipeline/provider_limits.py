"""Provider limits, kept by all workers together: slots are reserved before deliveries are claimed.

Reserving first means that a delivery that must wait is not claimed: its message goes back to the bus for later, and no
attempt is spent.
"""

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from shared.domain.leased_schedule import LATENESS_SECONDS, Block, Limit, Timetable

HORIZON_SECONDS = 3.0  # how far ahead a worker may reserve: what it holds it must still be able to send in time
_LONGEST_BLOCK_SECONDS = 0.25  # a larger demand is spread over several shards, which serve it side by side
_AHEAD_SECONDS = 0.5  # of its recent demand a worker leases so much in one go, which saves it a write for each call
_DEMAND_MEMORY_SECONDS = 2.0


class LeaseStore(Protocol):
    """The clocks of all accounts, and the time they go by."""

    async def now(self) -> float:
        """The store's time, in seconds; the same for all workers within some milliseconds."""
        ...

    async def lease(self, account: str, shard: int, seconds: float, now: float, until: float) -> float | None:
        """Moves a shard's clock on by ``seconds`` and gives where the leased time begins.

        None when it would not end before ``until``; the clock then stands as it was. Raises StoreUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """When the reserved calls may start, in the store's time; fewer than asked for when the limit is in use."""

    slots: tuple[float, ...]


class _Account:
    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.timetable = Timetable()
        self.lock = asyncio.Lock()
        self._demand = 0.0
        self._demanded_at = 0.0

    def note_demand(self, now: float, wanted: int) -> None:
        """Remembers what was asked for, fading with time."""
        self._demand = self._demand * math.exp((self._demanded_at - now) / _DEMAND_MEMORY_SECONDS) + wanted
        self._demanded_at = now

    def calls_to_lease(self, wanted: int) -> int:
        """How many calls to lease for ``wanted``: some more when the recent demand will use them."""
        ahead = int(self._demand / _DEMAND_MEMORY_SECONDS * _AHEAD_SECONDS)
        return min(max(wanted, ahead), max(1, int(_LONGEST_BLOCK_SECONDS / self.limit.interval)))


class ProviderLimits:
    """Reserves calls within the limits of provider accounts. Accounts without a limit are never held up."""

    def __init__(self, leases: LeaseStore, limits: Mapping[str, float]) -> None:
        self._leases = leases
        self._accounts = {name: _Account(Limit(name, rate)) for name, rate in limits.items()}

    def is_limited(self, account: str) -> bool:
        """Whether calls to ``account`` must be reserved."""
        return account in self._accounts

    async def reserve(self, account: str, wanted: int) -> Reservation:
        """Up to ``wanted`` calls within the horizon. Raises StoreUnavailable."""
        held = self._accounts[account]
        async with held.lock:
            now = await self._leases.now()
            held.note_demand(now, wanted)
            slots = held.timetable.take(now, wanted, now + HORIZON_SECONDS)
            tries = held.limit.shards
            while len(slots) < wanted and tries > 0:
                tries -= 1
                if await self._lease(held, wanted - len(slots)):
                    now = await self._leases.now()
                    slots += held.timetable.take(now, wanted - len(slots), now + HORIZON_SECONDS)
            return Reservation(tuple(slots))

    async def _lease(self, held: _Account, wanted: int) -> bool:
        limit = held.limit
        shard = random.randrange(limit.shards)  # noqa: S311 - spreads load, guards nothing
        calls = held.calls_to_lease(wanted)
        for size in dict.fromkeys((calls, 1)):
            now = await self._leases.now()
            start = await self._leases.lease(limit.account, shard, size * limit.interval, now, now + HORIZON_SECONDS)
            if start is not None:
                held.timetable.add(Block(start, size, limit.interval))
                return True
        return False

    async def wait_for(self, slot: float) -> bool:
        """Waits until ``slot``; False when it is too late for it, and another must be reserved."""
        now = await self._leases.now()
        if slot > now:
            await asyncio.sleep(slot - now)
            now = await self._leases.now()
        return now <= slot + LATENESS_SECONDS
