"""No window of a second holds more calls than the limit, whatever workers come, go, and believe about the time."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.cosmos_limits import CosmosLeases
from shared.domain.leased_schedule import Limit
from shared.domain.notification import Lane
from shared.pipeline.call_limits import CallLimits
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.limited_fleet import Fleet, Parcel, most_in_a_second, used
from tests.fakes.slow_store import FarAway
from tests.fakes.virtual_time import run_virtually


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    rate=st.sampled_from([2.0, 5.0, 20.0, 50.0, 120.0, 400.0]),
    lanes=st.sets(st.sampled_from(Lane), min_size=1),
    plan=st.lists(st.tuples(st.integers(1, 20), st.floats(0.5, 3)), min_size=1, max_size=4),
    stalls=st.sampled_from([0.0, 0.03, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_limit_holds_for_any_fleet_that_comes_stalls_and_dies(
    rate: float, lanes: set[Lane], plan: list[tuple[int, float]], stalls: float, seed: int
) -> None:
    fleet = Fleet(Limit("twilio", rate), seed, stalls)
    for lane in lanes:
        fleet.put_backlog(lane, chunks=60)

    run_virtually(fleet.run(plan))

    assert most_in_a_second(fleet.calls) <= rate


def test_limit_is_kept_and_used_while_the_fleet_grows_to_200_and_shrinks() -> None:
    fleet = Fleet(Limit("twilio", 50.0), seed=13)
    fleet.put_backlog(Lane.NORMAL, chunks=60)

    run_virtually(fleet.run([(1, 5), (30, 4), (200, 4), (5, 5)]))

    assert most_in_a_second(fleet.calls) <= 50
    for start, end in ((1.5, 5), (6.5, 9), (10.5, 13), (14.5, 18)):  # a dying fleet takes its turns with it
        assert used(fleet, start, end) >= 0.9, (start, end)


@pytest.mark.parametrize("rate", [10.0, 50.0, 250.0])
def test_urgent_deliveries_do_not_wait_behind_a_backlog(rate: float) -> None:
    fleet = Fleet(Limit("twilio", rate), seed=1)
    fleet.put_backlog(Lane.LOW, chunks=int(rate))

    run_virtually(fleet.run([(6, 20)], {Lane.HIGH: rate / 8, Lane.NORMAL: rate / 8}))

    assert p95(fleet.waits[Lane.HIGH]) < 1
    assert p95(fleet.waits[Lane.NORMAL]) < 2
    assert len(fleet.waits[Lane.LOW]) > 0.5 * 20 * rate  # which has all that the others leave
    assert most_in_a_second(fleet.calls) <= rate
    assert used(fleet, 2, 19) >= 0.9


def test_what_waits_comes_back_when_there_is_room() -> None:
    fleet = Fleet(Limit("twilio", 50.0), seed=2)
    fleet.put_backlog(Lane.LOW, chunks=40)

    run_virtually(fleet.run([(6, 48)], {Lane.HIGH: 3}))

    assert len(fleet.waits[Lane.LOW]) == 40 * 50
    assert fleet.turned_away == 0
    backlog = [fleet.holds[name] for name in fleet.holds if name]
    assert sum(backlog) / len(backlog) <= 1.3
    assert max(backlog) <= 3


def test_steady_demand_costs_far_fewer_writes_than_calls() -> None:
    async def steady() -> tuple[int, int]:
        fleet = Fleet(Limit("sendgrid", 10_000.0))
        fleet.limits()
        tasks = fleet.run([(1, 8)], {Lane.NORMAL: 250.0})
        await tasks
        return len(fleet.calls), fleet.database.steps.names.count("patch")

    made, writes = run_virtually(steady())

    assert made > 1800
    assert writes <= made / 10


def one_process(rate: float = 10.0) -> tuple[CallLimits, InMemoryDatabase]:
    database = InMemoryDatabase()
    database.steps = FarAway(random.Random(1))
    leases = CosmosLeases(database, monotonic=lambda: asyncio.get_running_loop().time())  # type: ignore[arg-type]
    return CallLimits(leases, {"twilio": rate}), database


def test_what_finds_no_room_is_told_when_its_turn_comes() -> None:
    async def three_chunks() -> list[tuple[int, float]]:
        limits, _ = one_process(rate=10.0)
        limit = limits.of_provider("twilio")
        assert limit is not None
        admissions = [await limits.admit(limit, Lane.LOW, 46) for _ in range(3)]
        return [(admission.count, admission.wait_seconds) for admission in admissions]

    first, second, third = run_virtually(three_chunks())

    assert first[0] == 46  # five seconds of work are claimed at once
    assert second == (0, pytest.approx(4.5, abs=0.5))
    assert third == (0, pytest.approx(9.5, abs=0.5))


def test_turns_given_back_are_used_by_others() -> None:
    async def give_and_take() -> tuple[tuple[float, ...], tuple[float, ...], int]:
        limits, database = one_process()
        limit = limits.of_provider("twilio")
        assert limit is not None
        mine = (await limits.admit(limit, Lane.HIGH, 3)).slots
        limits.give_back(limit, mine[1:])
        before = len(database.steps.names)
        theirs = (await limits.admit(limit, Lane.NORMAL, 2)).slots
        return mine, theirs, len(database.steps.names) - before

    mine, theirs, writes = run_virtually(give_and_take())

    assert theirs == mine[1:]
    assert writes == 0


def test_provider_without_a_limit_is_not_limited() -> None:
    limits, _ = one_process()

    assert limits.of_provider("twilio") == Limit("twilio", 10.0)
    assert limits.of_provider("sendgrid") is None


def test_turn_is_not_waited_for_without_end() -> None:
    async def starved() -> float | None:
        limits, database = one_process()
        limit = limits.of_provider("twilio")
        assert limit is not None
        await limits.admit(limit, Lane.HIGH, 1)
        database.container("rate-limits").documents["twilio", "clock-0"]["givenUntil"] = 1e6
        return await limits.turn(limit, Lane.LOW)

    assert run_virtually(starved()) is None


def test_parcels_of_dead_workers_are_delivered_by_others() -> None:
    fleet = Fleet(Limit("twilio", 20.0))
    fleet.put(Lane.NORMAL, Parcel("only", 30))

    run_virtually(fleet.run([(3, 0.5), (3, 6)]))

    assert len(fleet.calls) >= 30
