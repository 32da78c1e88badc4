"""What a process knows of the lanes, for how long, and what finding out costs."""

import asyncio

import pytest

from shared.domain.lane_telling import LaneKey, Telling
from shared.domain.notification import Lane
from shared.pipeline.lane_board import FORGOTTEN_AFTER_SECONDS, LaneBoard
from tests.fakes.lane_board import InMemoryBoard, Seconds

KEY: LaneKey = ("email", Lane.NORMAL)


class Fleet:
    """One that tells and one that listens."""

    def __init__(self) -> None:
        self.seconds, self.store = Seconds(), InMemoryBoard()
        self.teller, self.listener = LaneBoard(self.store, self.seconds), LaneBoard(self.store, self.seconds)

    async def tell(self, lag: float | None, **counts: int) -> None:
        await self.teller.tell({KEY: Telling(lag, lag or 0.0, **counts)})

    async def pass_time(self, seconds: float) -> None:
        self.seconds.advance(seconds)
        await self.listener.look()


async def test_what_one_tells_all_know_a_second_later() -> None:
    fleet = Fleet()
    await fleet.listener.look()
    await fleet.tell(7.0)

    await fleet.pass_time(1.1)

    assert fleet.listener.lag(KEY) == 7.0
    assert fleet.listener.lags_felt_in("email") == {Lane.HIGH: 0.0, Lane.NORMAL: 7.0, Lane.LOW: 0.0}


async def test_what_nobody_repeats_is_forgotten() -> None:
    fleet = Fleet()
    await fleet.listener.look()
    await fleet.tell(7.0)
    for _ in range(int(FORGOTTEN_AFTER_SECONDS) + 2):
        await fleet.pass_time(1.1)

    assert fleet.listener.lag(KEY) == 0


async def test_a_lag_that_falls_is_known_after_a_moment_and_not_at_once() -> None:
    fleet = Fleet()
    await fleet.listener.look()
    await fleet.tell(7.0)
    await fleet.pass_time(1.1)
    await fleet.tell(0.1)

    await fleet.pass_time(1.1)
    soon = fleet.listener.lag(KEY)
    await fleet.pass_time(2.0)

    assert (soon, fleet.listener.lag(KEY)) == (7.0, 0.1)


async def test_what_was_told_before_anybody_listened_may_be_old_and_does_not_count() -> None:
    fleet = Fleet()
    await fleet.tell(7.0)
    await fleet.pass_time(1.1)
    at_start = fleet.listener.lag(KEY)
    await fleet.tell(8.0)
    await fleet.pass_time(3600)  # nobody asked for an hour

    assert (at_start, fleet.listener.lag(KEY)) == (0, 0)


async def test_a_process_reads_once_a_second_however_often_it_is_asked() -> None:
    fleet = Fleet()
    for _ in range(1000):
        await fleet.listener.look()
        fleet.seconds.advance(0.01)

    assert fleet.store.reads <= 11


async def test_while_one_reads_the_others_go_on_with_what_they_know() -> None:
    class Slow(InMemoryBoard):
        async def read(self):
            self.reads += 1
            await asyncio.sleep(0.05)
            return {}

    store = Slow()
    board = LaneBoard(store, Seconds())
    await asyncio.gather(*(board.look() for _ in range(50)))

    assert store.reads == 1


async def test_a_store_that_is_away_makes_nobody_late_and_no_noise() -> None:
    fleet = Fleet()
    fleet.store.away = True

    await fleet.pass_time(1)
    told = await fleet.teller.tell({KEY: Telling(3.0)})

    assert (told, fleet.listener.lag(KEY)) == (False, 0)


async def test_counts_become_rates_over_some_seconds_and_are_forgotten() -> None:
    fleet = Fleet()
    unknown = fleet.listener.started_per_second(KEY)
    await fleet.listener.look()
    for _ in range(5):
        await fleet.tell(2.0, started=50, asked=500)
        await fleet.pass_time(1.0)
    rates = fleet.listener.started_per_second(KEY), fleet.listener.asked_per_second(KEY)
    await fleet.pass_time(FORGOTTEN_AFTER_SECONDS + 1)

    assert unknown == 0
    assert rates == pytest.approx((50, 500))
    assert fleet.listener.started_per_second(KEY) == 0


async def test_a_pause_in_which_nobody_counted_is_no_slow_rate() -> None:
    fleet = Fleet()
    await fleet.listener.look()
    await fleet.tell(2.0, started=50)
    for _ in range(20):
        await fleet.pass_time(1.0)
    for _ in range(3):
        await fleet.tell(2.0, started=50)
        await fleet.pass_time(1.0)

    assert fleet.listener.started_per_second(KEY) == pytest.approx(50)


async def test_without_a_store_nothing_is_late() -> None:
    board = LaneBoard()
    await board.look()

    assert await board.tell({KEY: Telling(9.0)})
    assert board.lag(KEY) == 0
