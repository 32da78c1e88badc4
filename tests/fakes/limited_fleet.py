"""A bus and workers over the real limiter and the real leases, in virtual time; each worker's clock is wrong."""

import asyncio
import heapq
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from shared.adapters.cosmos_limits import CosmosLeases
from shared.domain.leased_schedule import Limit
from shared.domain.notification import Lane
from shared.pipeline.call_limits import CallLimits
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.slow_store import FarAway

SKEW_SECONDS = 5.0
DRIFT = 20e-6  # of a clock: twenty millionths, as quartz does


@dataclass(frozen=True)
class Parcel:
    """A chunk on the bus."""

    name: str
    deliveries: int
    born: float = 0.0
    has_waited: bool = False


@dataclass
class Fleet:
    """What workers sent, by the store's time. ``stalls`` is for how long an event loop is away now and then."""

    limit: Limit
    seed: int = 0
    stalls: float = 0.0
    calls: list[float] = field(default_factory=list)
    waits: dict[Lane, list[float]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    holds: Counter[str] = field(default_factory=Counter)
    turned_away: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.database = InMemoryDatabase()
        self.database.steps = FarAway(self.chance)
        self._order = count()
        self._bus: dict[Lane, list[tuple[float, int, Parcel]]] = {lane: [] for lane in Lane}

    def limits(self) -> CallLimits:
        """As a new process has them."""
        skew, drift = self.chance.uniform(-SKEW_SECONDS, SKEW_SECONDS), 1 + self.chance.uniform(-DRIFT, DRIFT)
        loop = asyncio.get_running_loop()
        leases = CosmosLeases(self.database, monotonic=lambda: loop.time() * drift + skew)  # type: ignore[arg-type]
        return CallLimits(leases, {self.limit.account: self.limit.calls_per_second})

    def put(self, lane: Lane, parcel: Parcel, due: float = 0.0) -> None:
        heapq.heappush(self._bus[lane], (due, next(self._order), parcel))

    def put_backlog(self, lane: Lane, chunks: int, deliveries: int = 50) -> None:
        for number in range(chunks):
            self.put(lane, Parcel(f"{lane} {number}", deliveries))

    async def arrive(self, lane: Lane, a_second: float) -> None:
        """Single deliveries come in for ever."""
        while True:
            await asyncio.sleep(self.chance.expovariate(a_second))
            self.put(lane, Parcel("", 1, born=asyncio.get_running_loop().time()))

    async def run(self, plan: Sequence[tuple[int, float]], a_second: dict[Lane, float] | None = None) -> None:
        """So many workers for so many seconds each; all of them die at the end of their step, at once."""
        for workers, seconds in plan:
            tasks = [asyncio.create_task(self._work()) for _ in range(workers)]
            tasks += [asyncio.create_task(self.arrive(lane, rate)) for lane, rate in (a_second or {}).items()]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self) -> None:
        limits = self.limits()
        await asyncio.gather(*(self._take(limits, lane) for lane in Lane for _ in range(4)))

    async def _take(self, limits: CallLimits, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        while True:
            waiting = self._bus[lane]
            if not waiting or waiting[0][0] > loop.time():
                await asyncio.sleep(self.chance.uniform(0.02, 0.08))
                continue
            parcel = heapq.heappop(waiting)[2]
            try:
                await self._deliver(limits, lane, parcel)
            except asyncio.CancelledError:
                self.put(lane, parcel)  # the broker has it still, as it was
                raise

    async def _deliver(self, limits: CallLimits, lane: Lane, parcel: Parcel) -> None:
        wanted = parcel.deliveries
        admission = await limits.admit(self.limit, lane, wanted, has_waited=parcel.has_waited)
        if admission.count < wanted:
            self.holds[parcel.name] += 1
            later = asyncio.get_running_loop().time() + admission.wait_seconds + self.chance.uniform(0, 0.2)
            self.put(lane, Parcel(parcel.name, wanted - admission.count, parcel.born, has_waited=True), later)
        slots = deque(admission.slots)
        await asyncio.sleep(self.chance.uniform(0.005, 0.02))  # the claim
        turns = [slots.popleft() if slots else None for _ in range(admission.count)]
        await asyncio.gather(*(self._send(limits, lane, turn, parcel.born) for turn in turns))

    async def _send(self, limits: CallLimits, lane: Lane, slot: float | None, born: float) -> None:
        if slot is None or not await limits.wait_for(slot):
            slot = await limits.turn(self.limit, lane)
        while slot is not None and self.stalls and self.chance.random() < 0.3:
            await asyncio.sleep(self.chance.uniform(0, self.stalls))  # between the turn and the first byte
            if not await limits.wait_for(slot):  # the last question before the first byte
                slot = await limits.turn(self.limit, lane)
        if slot is None:
            self.turned_away += 1
            return
        now = asyncio.get_running_loop().time()
        self.calls.append(now)
        self.waits[lane].append(now - born)


def most_in_a_second(calls: Sequence[float]) -> int:
    """In the busiest window of a second, however it lies."""
    calls = sorted(calls)
    most = first = 0
    for last, call in enumerate(calls):
        while call - calls[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def used(fleet: Fleet, start: float, end: float) -> float:
    """Which share of the limit was used in a stretch of time."""
    return sum(start <= call < end for call in fleet.calls) / (end - start) / fleet.limit.calls_per_second
