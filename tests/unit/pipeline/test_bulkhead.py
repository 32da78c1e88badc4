"""Who gets a place in the process, and who waits for whom."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

import pytest

from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Lane
from shared.pipeline.bulkhead import DELIVERIES_PER_CHANNEL, Bulkhead
from tests.fakes.clock import START
from tests.fakes.virtual_time import run_virtually

HIGH, NORMAL, LOW = Lane.HIGH, Lane.NORMAL, Lane.LOW


def _chunk(count: int, channel: str = "email", lane: Lane = NORMAL, tenant: str = "shop") -> Chunk:
    items = tuple(ChunkItem(TrackingId(str(number))) for number in range(count))
    return Chunk(TenantId(tenant), PartitionKey(f"{tenant}:0"), channel, lane, items, wanted_at=START)


class Process:
    """What went in and out, by a name for each chunk."""

    def __init__(self, capacity: int = 10) -> None:
        self.bulkhead = Bulkhead(capacity)
        self.log: list[str] = []
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.admitted: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self.inside: dict[str, int] = defaultdict(int)
        self.most: dict[str, int] = defaultdict(int)

    async def hold(self, name: str, chunk: Chunk, seconds: float = 1.0) -> None:
        asked = _now()
        async with self.bulkhead.room_for(chunk):
            self.log.append(f"{name} in")
            self.waits[name].append(_now() - asked)
            self.admitted[name].append((_now(), len(chunk.items)))
            for key in (name, "all"):
                self.inside[key] += len(chunk.items)
                self.most[key] = max(self.most[key], self.inside[key])
            await asyncio.sleep(seconds)
        self.log.append(f"{name} out")
        for key in (name, "all"):
            self.inside[key] -= len(chunk.items)

    def had(self, name: str, until: float) -> int:
        """Deliveries, while everybody still wanted more."""
        return sum(count for instant, count in self.admitted[name] if instant < until)

    async def stream(self, name: str, chunk: Chunk, *, at_once: int, until: float, seconds: float = 1.0) -> None:
        """So many at once, again and again, as the host hands them over."""

        async def one() -> None:
            while _now() < until:
                await self.hold(name, chunk, seconds)

        await asyncio.gather(*(one() for _ in range(at_once)))


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_a_full_channel_waits_and_another_does_not() -> None:
    async def scene() -> list[str]:
        process = Process()
        await asyncio.gather(
            process.hold("slow", _chunk(10), seconds=5),
            process.hold("waits", _chunk(1)),
            process.hold("other", _chunk(1, "sms")),
        )
        return process.log

    assert run_virtually(scene()) == ["slow in", "other in", "other out", "slow out", "waits in", "waits out"]


def test_more_than_the_capacity_gets_all_of_it() -> None:
    async def scene() -> list[str]:
        process = Process()
        await asyncio.gather(process.hold("huge", _chunk(50)), process.hold("small", _chunk(1)))
        return process.log

    assert run_virtually(scene()) == ["huge in", "huge out", "small in", "small out"]


def test_places_are_given_back_after_a_failure_and_after_giving_up_waiting() -> None:
    async def scene() -> None:
        bulkhead = Bulkhead(1)

        async def fail() -> None:
            async with bulkhead.room_for(_chunk(1)):
                raise ValueError

        await asyncio.gather(fail(), return_exceptions=True)
        async with bulkhead.room_for(_chunk(1)):
            try:
                async with asyncio.timeout(1), bulkhead.room_for(_chunk(1)):
                    raise AssertionError
            except TimeoutError:
                pass
        async with asyncio.timeout(1), bulkhead.room_for(_chunk(1)):
            pass

    run_virtually(scene())


def test_who_is_let_in_and_gives_up_in_the_same_instant_keeps_nothing() -> None:
    async def scene() -> None:
        bulkhead = Bulkhead(1)
        inside = asyncio.Event()

        async def hold() -> None:
            async with bulkhead.room_for(_chunk(1)):
                await inside.wait()

        async def wait() -> None:
            async with bulkhead.room_for(_chunk(1)):
                pass

        holder, first, second = (asyncio.create_task(work) for work in (hold(), wait(), wait()))
        await asyncio.sleep(1)
        inside.set()
        await asyncio.sleep(0)  # the holder leaves and lets the first in
        first.cancel()
        second.cancel()
        await asyncio.gather(holder, first, second, return_exceptions=True)
        async with asyncio.timeout(1), bulkhead.room_for(_chunk(1)):
            pass

    run_virtually(scene())


@pytest.mark.parametrize("flood", [NORMAL, LOW])
def test_a_flood_below_leaves_high_its_room_at_once(flood: Lane) -> None:
    async def scene() -> Process:
        process = Process(DELIVERIES_PER_CHANNEL)
        await asyncio.gather(
            process.stream("flood", _chunk(50, lane=flood), at_once=64, until=20, seconds=0.5),
            process.stream("high", _chunk(1, lane=HIGH), at_once=20, until=20, seconds=0.1),
        )
        return process

    process = run_virtually(scene())

    assert max(process.waits["high"]) == 0
    assert process.most["flood"] >= 100


def test_high_can_not_take_all_places() -> None:
    async def scene() -> Process:
        process = Process(DELIVERIES_PER_CHANNEL)
        await asyncio.gather(
            process.stream("high", _chunk(1, lane=HIGH), at_once=400, until=10),
            process.stream("normal", _chunk(1), at_once=20, until=10),
        )
        return process

    process = run_virtually(scene())

    assert process.most["high"] == 180
    assert max(process.waits["normal"]) == 0


def test_a_normal_chunk_waits_for_a_place_that_high_may_take_but_low_may_not_slip_past() -> None:
    async def scene() -> list[str]:
        process = Process(100)
        await asyncio.gather(
            process.hold("high", _chunk(60, lane=HIGH), 2),
            process.hold("normal", _chunk(50)),
            process.hold("low", _chunk(10, lane=LOW)),
        )
        return process.log

    assert run_virtually(scene())[:3] == ["high in", "high out", "normal in"]


def test_normal_and_low_take_turns_four_to_one() -> None:
    async def scene() -> Process:
        process = Process(40)
        await asyncio.gather(
            process.stream("normal", _chunk(10), at_once=32, until=100),
            process.stream("low", _chunk(10, lane=LOW), at_once=32, until=100),
        )
        return process

    process = run_virtually(scene())

    assert 3.5 <= process.had("normal", 100) / process.had("low", 100) <= 4.5


def test_low_alone_may_use_half_and_normal_three_quarters() -> None:
    async def most(lane: Lane) -> int:
        process = Process(DELIVERIES_PER_CHANNEL)
        await process.stream("alone", _chunk(50, lane=lane), at_once=64, until=5)
        return process.most["alone"]

    assert (run_virtually(most(LOW)), run_virtually(most(NORMAL)), run_virtually(most(HIGH))) == (100, 150, 150)


def test_tenants_take_turns_by_what_they_had_and_not_by_what_they_ask() -> None:
    """One tenant's chunks of fifty, sixty at once, beside another's singles."""

    async def scene() -> Process:
        process = Process(DELIVERIES_PER_CHANNEL)
        await asyncio.gather(
            process.stream("flood", _chunk(50, tenant="flood"), at_once=60, until=60),
            process.stream("small", _chunk(1, tenant="small"), at_once=4, until=60),
        )
        return process

    process = run_virtually(scene())

    assert max(process.waits["small"]) <= 1.0  # until the next chunk of the flood is done, and not behind sixty
    assert len(process.waits["flood"]) >= 3 * 55


def test_two_floods_get_the_same() -> None:
    async def scene() -> Process:
        process = Process(DELIVERIES_PER_CHANNEL)
        await asyncio.gather(
            process.stream("singles", _chunk(1, tenant="singles"), at_once=400, until=60),
            process.stream("fifties", _chunk(50, tenant="fifties"), at_once=60, until=60),
        )
        return process

    process = run_virtually(scene())

    assert 0.8 <= process.had("singles", 60) / process.had("fifties", 60) <= 1.25


def test_a_tenant_that_was_away_saves_up_no_turns() -> None:
    async def scene() -> Process:
        process = Process(DELIVERIES_PER_CHANNEL)

        async def later() -> None:
            await asyncio.sleep(50)
            await process.stream("late", _chunk(50, tenant="late"), at_once=60, until=60)

        await asyncio.gather(process.stream("early", _chunk(50, tenant="early"), at_once=60, until=60), later())
        return process

    process = run_virtually(scene())

    since = [each for each in process.log[_at(process.log, "late in") :] if each.endswith(" in")]
    assert abs(since.count("early in") - since.count("late in")) <= 3


def _at(log: Iterable[str], entry: str) -> int:
    return list(log).index(entry)


def test_the_oldest_that_waits_is_known() -> None:
    async def scene() -> list[object]:
        process = Process()
        tasks = [asyncio.create_task(process.hold("a", _chunk(10))), asyncio.create_task(process.hold("b", _chunk(1)))]
        await asyncio.sleep(0.5)
        seen = [process.bulkhead.longest_wait("email", lane) for lane in (NORMAL, LOW)]
        await asyncio.gather(*tasks)
        return [*seen, process.bulkhead.longest_wait("email", NORMAL)]

    assert run_virtually(scene()) == [START, None, None]
