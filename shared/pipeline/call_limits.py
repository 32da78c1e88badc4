"""Limits on calls a second, kept by all workers together: of provider accounts, and of tenants.

Turns are leased from clocks in the store (shared/domain/leased_schedule.py). What can't have its turn soon is told when
to come back: each account has a queue for each lane, a clock that runs ahead by the work that was sent to wait. So a
chunk comes back when its turn is near and not every few seconds.
"""

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.leased_schedule import LATENESS_SECONDS, Block, Limit, Timetable, horizon_seconds
from shared.domain.notification import Lane

_AHEAD_SECONDS = 0.5  # of its recent demand a worker leases so much in one go, which saves it a write for each call
_DEMAND_MEMORY_SECONDS = 2.0
_SHARDS_TRIED = 3
_CLAIM_SECONDS = 0.02  # between a reservation and the first call lies the claim
_NEAR_SECONDS = 1.5  # work whose turn is so near waits in the process
_AT_ONCE_SECONDS = 5.0  # of work is claimed at once; a slow account gets its chunks in parts
_EARLY_SECONDS = 0.5  # what waited on the bus comes back so much before its turn, since the bus is not exact
_FIRST_LOOK_SECONDS = 0.05  # for a turn at once, of what has just come
_PATIENCE_SECONDS = (1.0, 8.0)  # at least and at most, for the first turn of what has come back
TURN_PATIENCE_SECONDS = 15.0  # for one delivery's turn; far below the age at which a claim counts as abandoned
_LONGEST_PAUSE_SECONDS = 0.5


class LeaseStore(Protocol):
    """Clocks that time is leased from, and the time they go by. Every method may raise StoreUnavailable."""

    async def now(self) -> float:
        """The store's time, in seconds; the same for all workers, but for each worker's error."""
        ...

    async def lease(self, account: str, shard: int, seconds: float, earliest: float, latest: float) -> float | None:
        """Moves a shard's clock on by ``seconds`` and gives where the leased time begins, ``earliest`` at the earliest.

        None when it would begin after ``latest``; the clock then stands as it was.
        """
        ...


class TurnStore(LeaseStore, Protocol):
    """The clocks of limited accounts, with the queues before them. Every method may raise StoreUnavailable."""

    def error(self) -> float:
        """By how many seconds ``now`` may be wrong, either way."""
        ...

    async def given_until(self, account: str, shard: int) -> float:
        """Up to when a shard's time has been given away."""
        ...

    async def queue(self, account: str, lane: str, seconds: float, now: float) -> float:
        """Puts ``seconds`` of work at the end of a lane's queue and gives when its turn is due, as of now."""
        ...

    async def queued_until(self, account: str, lane: str) -> float:
        """When everything in a lane's queue will have had its turn."""
        ...


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of deliveries that asked for turns.

    Attributes:
        count: how many may be claimed now; they have turns, or will have within seconds.
        slots: the turns that stand already, in the store's time; may be fewer than ``count``.
        wait_seconds: when the others should come back.
    """

    count: int
    slots: tuple[float, ...] = ()
    wait_seconds: float = 0.0


class _Account:
    """What this process knows of one account."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.timetable = Timetable()
        self.free_at = [0.0] * limit.shards
        self.lanes = {lane: _Lane(lane) for lane in Lane}

    def shards_by_promise(self) -> list[int]:
        """The shards that are likely to have room, the likeliest first."""
        order = random.sample(range(self.limit.shards), self.limit.shards)
        return sorted(order, key=self.free_at.__getitem__)[:_SHARDS_TRIED]


class _Lane:
    """Who waits in one lane of one account in this process, and how long the lane's queue is."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.lock = asyncio.Lock()
        self.waiting = 0
        self.has_no_room = False
        self.queued_until = 0.0
        self._demand = 0.0
        self._demanded_at = 0.0

    def note_demand(self, now: float, wanted: int) -> None:
        """Remembers what was asked for, fading with time."""
        self._demand = self._demand * math.exp((self._demanded_at - now) / _DEMAND_MEMORY_SECONDS) + wanted
        self._demanded_at = now

    def calls_to_lease(self, wanted: int, now: float) -> int:
        """How many calls to lease: some ahead when the recent demand will use them, none where others wait for them."""
        if self.queued_until > now:
            return max(wanted, self.waiting)
        return max(wanted, self.waiting, int(self._demand / _DEMAND_MEMORY_SECONDS * _AHEAD_SECONDS))


class CallLimits:
    """Hands out turns within limits. ``providers`` are the limits of provider accounts, by name."""

    def __init__(self, leases: TurnStore, providers: Mapping[str, float]) -> None:
        self._leases = leases
        self._providers = {name: Limit(name, rate) for name, rate in providers.items()}
        self._accounts: dict[Limit, _Account] = {}

    def of_provider(self, name: str) -> Limit | None:
        """The limit of a provider's account; None when it has none."""
        return self._providers.get(name)

    async def admit(
        self, limit: Limit, lane: Lane, wanted: int, *, has_waited: bool = False, patience_seconds: float = 0.0
    ) -> Admission:
        """How many of ``wanted`` deliveries may go on, and when the others should come back. Raises StoreUnavailable.

        What ``has_waited`` has its place in the queue behind it and waits here for a moment rather than there again, or
        for ``patience_seconds`` where that is longer.
        """
        account = self._account(limit)
        here = account.lanes[lane]
        now = await self._leases.now()
        here.note_demand(now, wanted)
        slots: list[float] = []
        if has_waited:
            patience = max(_patience(limit, wanted), patience_seconds)
            slots = await self._slots(account, here, wanted, now + patience)
            if slots:
                return _admission(limit, wanted, slots)
        elif here.queued_until <= now + horizon_seconds(lane) and not here.has_no_room:
            slots = await self._slots(account, here, wanted, now + _FIRST_LOOK_SECONDS)
            if len(slots) == wanted:
                return Admission(wanted, tuple(slots))
        work = (wanted - len(slots)) * limit.spacing
        now = await self._leases.now()
        due = await self._leases.queue(limit.account, lane.value, work, now)
        here.queued_until = due + work
        if due <= now + _NEAR_SECONDS and not has_waited:
            return _admission(limit, wanted, slots)
        return Admission(len(slots), tuple(slots), wait_seconds=max(due - now - _EARLY_SECONDS, _EARLY_SECONDS))

    async def turn(self, limit: Limit, lane: Lane, *, patience: float = TURN_PATIENCE_SECONDS) -> float | None:
        """Waits until one call may start and gives its slot; None when there is no room within ``patience`` seconds."""
        account = self._account(limit)
        deadline = await self._leases.now() + patience
        while True:
            slots = await self._slots(account, account.lanes[lane], 1, deadline, is_claimed=True)
            if not slots:
                return None
            if await self.wait_for(slots[0]):
                return slots[0]

    async def longest_wait(self, limit: Limit, lane: Lane) -> float:
        """For how many seconds more there are chunks that wait for their turn. Raises StoreUnavailable."""
        until = await self._leases.queued_until(limit.account, lane.value)
        return max(until - await self._leases.now(), 0.0)

    async def wait_for(self, slot: float) -> bool:
        """Waits until ``slot``; False when it is too late for it."""
        now, error = await self._leases.now(), self._leases.error()
        if slot + error > now:
            await asyncio.sleep(slot + error - now)
            now = await self._leases.now()
        return now <= slot + LATENESS_SECONDS - error

    def give_back(self, limit: Limit, slots: Sequence[float]) -> None:
        """Somebody else in this process may use ``slots``."""
        self._account(limit).timetable.add(slots)

    def _account(self, limit: Limit) -> _Account:
        account = self._accounts.get(limit)
        if account is None:
            account = self._accounts[limit] = _Account(limit)
        return account

    async def _slots(
        self, account: _Account, here: _Lane, wanted: int, deadline: float, *, is_claimed: bool = False
    ) -> list[float]:
        """Up to ``wanted`` slots, and at least one if there is room for it before the deadline."""
        slots: list[float] = []
        horizon = horizon_seconds(here.lane, is_claimed=is_claimed)
        here.waiting += wanted
        try:
            async with here.lock:
                while (now := await self._leases.now()) < deadline:
                    slots += account.timetable.take(now, wanted - len(slots))
                    while len(slots) < wanted and await self._lease(account, here, wanted - len(slots), horizon):
                        slots += account.timetable.take(await self._leases.now(), wanted - len(slots))
                    if slots:
                        break
                    here.has_no_room = True
                    await self._pause(account, horizon, deadline)
                return slots
        finally:
            here.has_no_room = False
            here.waiting -= wanted

    async def _lease(self, account: _Account, here: _Lane, wanted: int, horizon: float) -> bool:
        limit = account.limit
        for shard in account.shards_by_promise():
            now = await self._leases.now()
            if account.free_at[shard] > now + horizon:
                continue
            calls = min(here.calls_to_lease(wanted, now), limit.longest_block)
            seconds = calls * limit.interval
            start = await self._leases.lease(limit.account, shard, seconds, now + _CLAIM_SECONDS, now + horizon)
            if start is not None:
                account.free_at[shard] = start + seconds
                account.timetable.add(Block(start, calls, limit.interval).slots())
                return True
            account.free_at[shard] = await self._leases.given_until(limit.account, shard)
        return False

    async def _pause(self, account: _Account, horizon: float, deadline: float) -> None:
        """Until there may be room: the shards' clocks stand where this process last saw them, or further."""
        now = await self._leases.now()
        pause = max(min(account.free_at) - horizon - now, 0) + random.uniform(0.005, 0.03)  # noqa: S311 - spreads load
        await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS, max(deadline - now, 0)))


def _patience(limit: Limit, wanted: int) -> float:
    """As long as ``wanted`` calls take, since the next in the queue comes no sooner: who goes back leaves a gap."""
    shortest, longest = _PATIENCE_SECONDS
    return min(max(wanted * limit.spacing, shortest), longest)


def _admission(limit: Limit, wanted: int, slots: Sequence[float]) -> Admission:
    """As many as have their turns soon; the others come when those are through."""
    count = min(wanted, max(len(slots), 1, int(_AT_ONCE_SECONDS / limit.spacing)))
    return Admission(count, tuple(slots), wait_seconds=max(count * limit.spacing - _EARLY_SECONDS, _EARLY_SECONDS))
