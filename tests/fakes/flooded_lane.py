"""One lane of the service in virtual time: processes that accept, a bus that is first in, first out, and processes that
deliver, each a single event loop. The lanes' own code is real; store, broker and providers are as good as their costs.
"""

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.chunk import MAX_CHUNK_DELIVERIES, Chunk, ChunkItem
from shared.domain.errors import Overloaded, RateExceeded
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.lane_telling import LaneKey
from shared.domain.notification import Lane
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.admission import Wanted
from shared.pipeline.lanes import Lanes
from tests.fakes.clock import START
from tests.fakes.lane_board import InMemoryBoard, InMemoryLeases

HANDED_OVER = 64  # messages that the host gives a process at once (host.json)
PUT_BACK_SECONDS = 0.0005  # of CPU
_SLICES = 12  # of an event loop's time that a delivery takes, one after the other
_STORE_SECONDS = 0.005


def elapsed() -> float:
    return asyncio.get_running_loop().time()


def now() -> datetime:
    return START + timedelta(seconds=elapsed())


class Bus:
    """One subscription."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[Chunk] = asyncio.Queue()
        self.take = self._ready.get

    def publish(self, chunk: Chunk) -> None:
        due = (chunk.due_at - START).total_seconds() if chunk.due_at else 0.0
        if due > elapsed():
            asyncio.get_running_loop().call_at(due, self._ready.put_nowait, chunk)
        else:
            self._ready.put_nowait(chunk)


@dataclass
class FloodedLane:
    """``capacity`` is what all delivering processes manage together, in deliveries a second."""

    capacity: float
    is_bound_by_provider: bool = False  # otherwise by what its processes compute
    with_turns: bool = True
    key: LaneKey = ("email", Lane.NORMAL)
    deliverers: int = 4
    acceptors: int = 3
    seed: int = 1
    waited: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    accepted: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[type[Exception]]] = field(default_factory=lambda: defaultdict(Counter))
    put_back: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.bus, self.board = Bus(), InMemoryBoard()
        self.leases = InMemoryLeases(lambda: START.timestamp() + elapsed())
        self.doors = [self._process() for _ in range(self.acceptors)]
        self._accepted_at: dict[str, float] = {}
        self._ids = itertools.count()
        self._tasks = {asyncio.create_task(self._deliver(self._process())) for _ in range(self.deliverers)}

    def _process(self) -> Lanes:
        return Lanes(self.board, self.leases if self.with_turns else None, monotonic=elapsed)

    async def submit(self, tenant: str, count: int = 1) -> bool:
        """Whether it was accepted."""
        channel, lane = self.key
        door = self.chance.choice(self.doors).admission
        try:
            turns = await door.admit(
                TenantId(tenant), Wanted(count, frozenset({lane}), {self.key: count}), TenantPolicy()
            )
        except (Overloaded, RateExceeded) as refusal:
            self.refused[tenant][type(refusal)] += count
            return False
        self.accepted[tenant] += count
        for part, start in enumerate(range(0, count, MAX_CHUNK_DELIVERIES)):
            due = turns.due[self.key][part] if self.key in turns.due else None
            items = [self._item() for _ in range(min(MAX_CHUNK_DELIVERIES, count - start))]
            self.bus.publish(
                Chunk(
                    TenantId(tenant), PartitionKey("p"), channel, lane, tuple(items), due_at=due, wanted_at=due or now()
                )
            )
        return True

    def _item(self) -> ChunkItem:
        item = ChunkItem(TrackingId(str(next(self._ids))))
        self._accepted_at[item.tracking_id] = elapsed()
        return item

    def flood_bus(self, tenant: str, chunks: int, items: int = 1) -> None:
        """So many messages stand on the bus already, as of a campaign that was scheduled for now."""
        for _ in range(chunks):
            members = tuple(self._item() for _ in range(items))
            channel, lane = self.key
            self.bus.publish(Chunk(TenantId(tenant), PartitionKey("p"), channel, lane, members, wanted_at=now()))

    async def stream(self, tenant: str, rate: float, until: float, *, count: int = 1) -> None:
        """Requests of ``count`` each, at random, ``rate`` deliveries a second on average."""
        while elapsed() < until:
            await asyncio.sleep(self.chance.expovariate(rate / count))
            await self.submit(tenant, count)

    async def _deliver(self, lanes: Lanes) -> None:
        loop_turn, provider_turn, seconds = asyncio.Lock(), asyncio.Lock(), self.deliverers / self.capacity

        async def compute(amount: float) -> None:
            async with loop_turn:
                await asyncio.sleep(amount)

        async def send(chunk: Chunk) -> None:
            if self.is_bound_by_provider:
                async with provider_turn:
                    await asyncio.sleep(seconds * len(chunk.items))
            else:
                for _ in range(_SLICES):
                    await compute(seconds * len(chunk.items) / _SLICES)

        async def handle() -> None:
            while True:
                chunk = await self.bus.take()
                if turn := await lanes.turn_of(chunk, now()):
                    await compute(PUT_BACK_SECONDS)
                    await asyncio.sleep(_STORE_SECONDS)
                    self.put_back += 1
                    self.bus.publish(replace(chunk, due_at=turn, wanted_at=turn))
                    continue
                async with lanes.bulkhead.room_for(chunk):
                    lanes.watch.note_claimed(chunk, len(chunk.items), now())
                    self._note_start(chunk)
                    await send(chunk)

        await asyncio.gather(*(handle() for _ in range(HANDED_OVER)))

    def _note_start(self, chunk: Chunk) -> None:
        for item in chunk.items:
            self.waited[chunk.tenant_id].append((elapsed(), elapsed() - self._accepted_at[item.tracking_id]))

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def percentile(self, tenant: str, share: float, since: float = 0.0) -> float:
        """How long the tenant's deliveries waited from accept to their start, of those that started since."""
        waits = sorted(wait for started, wait in self.waited[tenant] if started >= since)
        return waits[int(len(waits) * share)] if waits else float("inf")

    def started(self, tenants: Sequence[str], since: float, until: float) -> float:
        """Deliveries a second."""
        count = sum(since <= at < until for tenant in tenants for at, _ in self.waited[tenant])
        return count / (until - since)
