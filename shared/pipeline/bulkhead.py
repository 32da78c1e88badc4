"""A share of the process for each channel, and in it room for each lane and a fair part for each tenant.

A slow provider fills its own channel's share and no other's. A flood in a lower lane can't take the places that are
kept for higher ones, and high can't take all of them either. Of those who wait, the highest lane goes first, normal and
low take turns four to one, and within a lane the tenants take turns by how many deliveries each has had.

Counts deliveries under way before they are claimed, so that no claim grows old in a queue.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.chunk import Chunk
from shared.domain.notification import Lane

DELIVERIES_PER_CHANNEL = 200  # provider calls under way in one process; the HTTP pool holds as many connections
_MOST_FOR_HIGH = 0.9  # of the places; the rest is for the other lanes, whatever high wants
_MOST_FOR_NORMAL_AND_LOW = 0.75
_MOST_FOR_LOW = 0.5
_BUSY_CHUNKS = 32  # of one lane: half of what the host hands over at once (host.json)
_WEIGHTS = {Lane.NORMAL: 4.0, Lane.LOW: 1.0}


@dataclass(eq=False, slots=True)
class _Waiter:
    lane: Lane
    tenant: str
    places: int
    since: datetime | None
    tag: float  # its tenant's turn: the smallest goes first
    admitted: asyncio.Future[None]


@dataclass(slots=True)
class _Turns:
    """Start-time fair queueing: who has had more comes later, and nobody saves up turns while away."""

    time: float = 0.0
    _finished: dict[str, float] = field(default_factory=dict)

    def next_tag(self, who: str, amount: float) -> float:
        """The turn of ``amount`` more for ``who``."""
        start = max(self.time, self._finished.get(who, 0.0))
        self._finished[who] = start + amount
        return start

    def advance(self, tag: float) -> None:
        """Somebody's turn has come."""
        self.time = max(self.time, tag)
        self._finished = {who: end for who, end in self._finished.items() if end > self.time}


class _Channel:
    """The places of one channel and who waits for them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_use: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self.chunks: dict[Lane, int] = dict.fromkeys(Lane, 0)  # under way
        self.waiting: dict[Lane, list[_Waiter]] = {lane: [] for lane in Lane}
        self.tenants: dict[Lane, _Turns] = {lane: _Turns() for lane in Lane}
        self._served = dict.fromkeys(_WEIGHTS, 0.0)

    def has_room(self, lane: Lane, places: int) -> bool:
        """Whether the lane may have so many more places, by what is kept for others."""
        low, below_high = self.in_use[Lane.LOW], self.in_use[Lane.LOW] + self.in_use[Lane.NORMAL]
        if lane is Lane.HIGH:
            return self._fits(self.in_use[lane], places, _MOST_FOR_HIGH)
        if lane is Lane.LOW and not self._fits(low, places, _MOST_FOR_LOW):
            return False
        return self._fits(below_high, places, _MOST_FOR_NORMAL_AND_LOW)

    def _fits(self, in_use: int, places: int, share: float) -> bool:
        # What is larger than its lane's share has all of it to itself rather than none.
        return in_use == 0 or in_use + places <= self.capacity * share

    def has_space(self, places: int) -> bool:
        """Whether so many places are free at all."""
        return sum(self.in_use.values()) + places <= self.capacity

    def take(self, lane: Lane, places: int) -> None:
        self.in_use[lane] += places
        if lane in _WEIGHTS:
            # A lane that was idle doesn't save up turns: it goes on from where the other one is.
            other = Lane.LOW if lane is Lane.NORMAL else Lane.NORMAL
            if not self.waiting[other]:
                self._served[other] = max(self._served[other], self._served[lane])
            self._served[lane] += places / _WEIGHTS[lane]

    def admit_waiting(self) -> None:
        """Lets in whoever has room now, in order. Who doesn't fit is not overtaken within its lane."""
        while (waiter := self._next()) is not None:
            self.waiting[waiter.lane].remove(waiter)
            if waiter.admitted.done():  # given up in this instant
                continue
            self.tenants[waiter.lane].advance(waiter.tag)
            self.take(waiter.lane, waiter.places)
            waiter.admitted.set_result(None)

    def _next(self) -> _Waiter | None:
        for lane in (Lane.HIGH, *sorted(_WEIGHTS, key=lambda each: self._served[each])):
            if not self.waiting[lane]:
                continue
            first = min(self.waiting[lane], key=lambda waiter: waiter.tag)
            if self.has_room(lane, first.places):
                # It waits for others to leave: then nobody may slip past it, or it would wait for ever.
                return first if self.has_space(first.places) else None
        return None


class Bulkhead:
    """The places of this process, by channel."""

    def __init__(self, capacity: int = DELIVERIES_PER_CHANNEL) -> None:
        self._capacity = capacity
        self._channels: dict[str, _Channel] = defaultdict(lambda: _Channel(capacity))

    @asynccontextmanager
    async def room_for(self, chunk: Chunk) -> AsyncIterator[None]:
        """Waits until the chunk's deliveries have places (all of the channel's at most), and holds them."""
        channel, lane = self._channels[chunk.channel], chunk.lane
        places = min(len(chunk.items), self._capacity)
        await self._admit(channel, chunk, places)
        channel.chunks[lane] += 1
        try:
            yield
        finally:
            channel.chunks[lane] -= 1
            channel.in_use[lane] -= places
            channel.admit_waiting()

    async def _admit(self, channel: _Channel, chunk: Chunk, places: int) -> None:
        tag = channel.tenants[chunk.lane].next_tag(chunk.tenant_id, places)
        waiter = _Waiter(
            chunk.lane, chunk.tenant_id, places, chunk.wanted_at, tag, asyncio.get_running_loop().create_future()
        )
        channel.waiting[chunk.lane].append(waiter)
        channel.admit_waiting()
        try:
            await waiter.admitted
        except asyncio.CancelledError:
            if not waiter.admitted.cancelled():
                channel.in_use[chunk.lane] -= places
            elif waiter in channel.waiting[chunk.lane]:
                channel.waiting[chunk.lane].remove(waiter)
            channel.admit_waiting()
            raise

    def is_busy(self, chunk: Chunk) -> bool:
        """Whether the chunk would have to wait, or as many of its lane are under way as keep a process busy."""
        channel = self._channels[chunk.channel]
        if channel.chunks[chunk.lane] >= _BUSY_CHUNKS or channel.waiting[chunk.lane]:
            return True
        places = min(len(chunk.items), self._capacity)
        return not (channel.has_room(chunk.lane, places) and channel.has_space(places))

    def lanes(self) -> list[tuple[str, Lane]]:
        """Those that anything ever came in."""
        return [(name, lane) for name in self._channels for lane in Lane]

    def longest_wait(self, channel: str, lane: Lane) -> datetime | None:
        """Since when the oldest that waits for a place has been wanted; None when nobody waits."""
        return min((each.since for each in self._channels[channel].waiting[lane] if each.since), default=None)
