"""One tenant asks for ten times what a lane manages. The others' deliveries still start within five seconds (S3-03)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.domain.errors import Overloaded, RateExceeded
from shared.domain.notification import Lane
from tests.fakes.flooded_lane import FloodedLane
from tests.fakes.virtual_time import run_virtually

SECONDS = 60.0
SMALL = tuple(f"small-{number}" for number in range(4))
Play = Callable[[FloodedLane], Awaitable[None]]


def _live_through(play: Play, **options: object) -> FloodedLane:
    async def scene() -> FloodedLane:
        lane = FloodedLane(**options)  # type: ignore[arg-type]
        await play(lane)
        lane.stop()
        return lane

    return run_virtually(scene())


def _flood(times: float, *, small: float, count: int = 1) -> Play:
    """The flood begins after five quiet seconds."""

    async def play(lane: FloodedLane) -> None:
        async def flood() -> None:
            await asyncio.sleep(5)
            await lane.stream("flood", times * lane.capacity, SECONDS, count=count)

        await asyncio.gather(flood(), *(lane.stream(name, small, SECONDS) for name in SMALL))

    return play


def _waits(lane: FloodedLane, share: float = 0.95, since: float = 0.0) -> float:
    return max(lane.percentile(name, share, since) for name in SMALL)


@pytest.fixture(scope="module", params=["limited by its provider", "limited by what it computes"])
def flooded(request: pytest.FixtureRequest) -> FloodedLane:
    if request.param == "limited by its provider":
        return _live_through(_flood(10, small=2), capacity=40, is_bound_by_provider=True, deliverers=2)
    return _live_through(_flood(10, small=5, count=50), capacity=400, deliverers=2)


def test_the_others_are_on_time(flooded: FloodedLane) -> None:
    assert _waits(flooded) < 5
    assert _waits(flooded, 0.99, since=20) < 5


def test_nobody_but_the_flood_is_refused_or_put_back(flooded: FloodedLane) -> None:
    assert set(flooded.refused) == {"flood"}
    assert set(flooded.refused["flood"]) == {RateExceeded}


def test_the_flood_gets_what_the_others_leave(flooded: FloodedLane) -> None:
    everybody = (*SMALL, "flood")

    assert flooded.started(everybody, since=15, until=SECONDS) > 0.8 * flooded.capacity


def test_the_flood_costs_a_few_writes_a_second(flooded: FloodedLane) -> None:
    assert flooded.board.writes + flooded.leases.writes < 20 * SECONDS


def test_without_turns_everybody_waits_behind_the_flood() -> None:
    lane = _live_through(_flood(10, small=2), capacity=40, is_bound_by_provider=True, deliverers=2, with_turns=False)

    assert _waits(lane, since=30) > 20


def test_a_campaign_that_stands_on_the_bus_already_is_put_back() -> None:
    async def play(lane: FloodedLane) -> None:
        await asyncio.sleep(2)
        lane.flood_bus("flood", chunks=4000)
        await asyncio.gather(*(lane.stream(name, 2, SECONDS) for name in SMALL))

    lane = _live_through(play, capacity=40, is_bound_by_provider=True, deliverers=2)

    assert _waits(lane, since=15) < 5
    assert lane.started((*SMALL, "flood"), since=10, until=SECONDS) > 0.8 * lane.capacity
    assert lane.put_back < 6000


def test_fifteen_tenants_and_one_flood_in_the_high_lane_where_nobody_is_refused() -> None:
    names = [f"tenant-{number}" for number in range(15)]

    async def play(lane: FloodedLane) -> None:
        await asyncio.gather(lane.stream("flood", 3 * lane.capacity, 30), *(lane.stream(name, 1, 30) for name in names))

    lane = _live_through(play, capacity=50, is_bound_by_provider=True, deliverers=2, key=("sms", Lane.HIGH))

    assert lane.refused == {}
    assert max(lane.percentile(name, 0.95, since=10) for name in names) < 1.5


def test_two_floods_share_the_lane_and_the_others_are_on_time() -> None:
    async def play(lane: FloodedLane) -> None:
        floods = (lane.stream(name, 5 * lane.capacity, SECONDS) for name in ("flood", "deluge"))
        await asyncio.gather(*floods, *(lane.stream(name, 2, SECONDS) for name in SMALL))

    lane = _live_through(play, capacity=40, is_bound_by_provider=True, deliverers=2)
    parts = [lane.started([name], since=20, until=SECONDS) for name in ("flood", "deluge")]

    assert _waits(lane, since=15) < 5
    assert 0.5 < parts[0] / parts[1] < 2


def test_a_lane_that_keeps_up_touches_nobody() -> None:
    async def play(lane: FloodedLane) -> None:
        await asyncio.gather(*(lane.stream(name, 0.2 * lane.capacity, 30) for name in SMALL))

    lane = _live_through(play, capacity=100)

    assert (lane.refused, lane.put_back, lane.leases.writes) == ({}, 0, 0)
    assert _waits(lane) < 1


def test_when_everybody_together_asks_for_too_much_the_lane_closes_for_all() -> None:
    names = [f"tenant-{number}" for number in range(10)]

    async def play(lane: FloodedLane) -> None:
        await asyncio.gather(*(lane.stream(name, 0.3 * lane.capacity, SECONDS) for name in names))

    lane = _live_through(play, capacity=40, is_bound_by_provider=True, deliverers=2)
    kinds = {kind for refused in lane.refused.values() for kind in refused}
    accepted = [lane.accepted[name] for name in names]

    assert kinds <= {Overloaded, RateExceeded}
    assert max(accepted) < 2 * min(accepted)
