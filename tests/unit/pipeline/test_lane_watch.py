"""What a process sees of its lanes, and when it finds that worth telling."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Lane
from shared.pipeline.bulkhead import Bulkhead
from shared.pipeline.lane_board import LaneBoard
from shared.pipeline.lane_watch import REPORT_EVERY_SECONDS, LaneWatch
from tests.fakes.clock import START, FakeClock
from tests.fakes.lane_board import InMemoryBoard, Seconds

KEY = ("email", Lane.NORMAL)


class Process:
    def __init__(self) -> None:
        self.seconds, self.store, self.clock = Seconds(), InMemoryBoard(), FakeClock()
        self.bulkhead = Bulkhead(10)
        self.watch = LaneWatch(LaneBoard(self.store, self.seconds), self.bulkhead, self.seconds)

    def chunk(self, late: float, lane: Lane = Lane.NORMAL, count: int = 1, attempt: int = 1) -> Chunk:
        items = tuple(ChunkItem(TrackingId(str(number)), attempt) for number in range(count))
        wanted_at = self.clock.now() - timedelta(seconds=late)
        return Chunk(TenantId("t"), PartitionKey("t:0"), "email", lane, items, wanted_at=wanted_at)

    async def see(self, late: float, *, chunks: int = 10, lane: Lane = Lane.NORMAL, count: int = 1) -> None:
        """So many chunks within a second."""
        for _ in range(chunks):
            chunk = self.chunk(late, lane, count)
            await self.watch.tell(self.clock.now())
            self.watch.note_claimed(chunk, count, self.clock.now())
            self.advance(1 / chunks)

    def advance(self, seconds: float) -> None:
        self.seconds.advance(seconds)
        self.clock.advance(seconds)


async def test_an_idle_lane_writes_nothing() -> None:
    process = Process()
    for _ in range(30):
        await process.see(late=0.05)

    assert process.store.writes == 0


@pytest.mark.parametrize(("lane", "late"), [(Lane.HIGH, 0.2), (Lane.NORMAL, 1.0), (Lane.LOW, 6.0)])
async def test_a_late_lane_is_told_once_a_second_with_what_was_started(lane: Lane, late: float) -> None:
    process = Process()
    for _ in range(10):
        await process.see(late, lane=lane, count=5)

    entry = process.store.entries["email", lane]
    assert 8 <= process.store.writes <= 11
    assert entry.lag == pytest.approx(late, abs=0.01)
    assert 350 <= entry.started <= 500


async def test_one_message_that_comes_again_after_a_crash_makes_no_late_lane() -> None:
    process = Process()
    await process.see(late=70, chunks=3)
    process.advance(3)
    await process.see(late=0.05)
    await process.see(late=0.05)

    assert process.store.writes == 0


async def test_that_a_lane_recovers_is_told_and_then_nothing_more() -> None:
    process = Process()
    await process.see(late=20)
    await process.see(late=20)
    for _ in range(20):
        await process.see(late=0.05)
    lag, writes = process.store.entries[KEY].lag, process.store.writes
    for _ in range(10):
        await process.see(late=0.05)

    assert lag == pytest.approx(0.05, abs=0.01)
    assert process.store.writes == writes


async def test_what_waits_for_a_place_counts_before_it_has_one() -> None:
    process = Process()
    async with process.bulkhead.room_for(process.chunk(0, count=10)):
        waiting = asyncio.create_task(process.bulkhead.room_for(process.chunk(4)).__aenter__())
        await asyncio.sleep(0)

        assert process.watch.lag(KEY, process.clock.now()) == pytest.approx(4)
    await waiting


async def test_a_chunk_that_does_not_say_when_it_was_wanted_is_not_late() -> None:
    process = Process()
    chunk = Chunk(TenantId("t"), PartitionKey("t:0"), "email", Lane.NORMAL, (ChunkItem(TrackingId("1")),))
    for _ in range(10):
        process.watch.note_claimed(chunk, 1, START)

    assert process.watch.lag(KEY, START) == 0


async def test_what_its_own_tenants_limit_held_back_makes_no_late_lane() -> None:
    process = Process()
    for _ in range(10):
        slow = replace(process.chunk(500), waited_for=frozenset({"tenant:t"}))
        process.watch.note_claimed(slow, 1, process.clock.now())

    assert process.watch.lag(KEY, process.clock.now()) == 0


async def test_how_late_it_is_for_those_who_do_not_flood_is_told_as_well() -> None:
    process = Process()
    for _ in range(3):
        for late, tenant in ((30, "flood"), (31, "flood"), (32, "flood"), (33, "flood"), (0.4, "small")):
            chunk = replace(process.chunk(late), tenant_id=TenantId(tenant))
            process.watch.note_claimed(chunk, 1, process.clock.now())
        process.advance(0.5)
    await process.watch.tell(process.clock.now())

    entry = process.store.entries[KEY]
    assert entry.lag > 29
    assert entry.felt == pytest.approx(0.4, abs=0.01)


async def test_what_could_not_be_told_is_told_with_the_next() -> None:
    process = Process()
    process.store.away = True
    await process.see(late=5)
    await process.see(late=5)
    process.store.away = False
    await process.see(late=5)

    assert process.store.entries[KEY].started >= 20


async def test_every_minute_a_line_says_how_long_first_attempts_waited(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    process = Process()
    await process.see(late=0.09, chunks=98)
    await process.see(late=8, chunks=2)
    process.watch.note_claimed(process.chunk(500, attempt=2), 1, process.clock.now())  # a retry is no late accept
    process.advance(REPORT_EVERY_SECONDS)
    process.watch.note_claimed(process.chunk(0.09), 1, process.clock.now())

    [line] = [record for record in caplog.records if record.message == "Lane latency"]
    assert (line.channel, line.lane, line.deliveries) == ("email", "normal", 101)  # type: ignore[attr-defined]
    assert line.waited_p50_seconds == 0.1  # type: ignore[attr-defined]
    assert line.late_share == pytest.approx(2 / 101, abs=0.001)  # type: ignore[attr-defined]
