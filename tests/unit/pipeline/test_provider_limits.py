"""No window of a second holds more calls than the limit, whatever workers come, go, and believe about the time."""

import asyncio
import random

import pytest

from shared.domain.leased_schedule import Block, Limit, Timetable
from shared.pipeline.provider_limits import HORIZON_SECONDS, ProviderLimits
from tests.fakes.virtual_time import run_virtually


class InMemoryLeases:
    """The store's clocks with cosmos_limits' conditions, and the store's time; every call takes a few milliseconds."""

    def __init__(self, given_until: dict[tuple[str, int], float], latency: random.Random) -> None:
        self._given_until = given_until
        self._latency = latency
        self.writes = 0

    async def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def lease(self, account: str, shard: int, seconds: float, now: float, until: float) -> float | None:
        self.writes += 1
        await asyncio.sleep(self._latency.uniform(0.001, 0.01))
        clock = self._given_until.setdefault((account, shard), 0.0)
        if clock > until - seconds or until - seconds < now:
            return None
        start = max(clock, now)
        self._given_until[account, shard] = start + seconds
        await asyncio.sleep(self._latency.uniform(0.001, 0.01))
        return start


def most_in_a_second(calls: list[float]) -> int:
    calls = sorted(calls)
    most = first = 0
    for last, call in enumerate(calls):
        while call - calls[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


async def _fleet(limit: float, plan: list[tuple[int, float]], seed: int) -> tuple[list[float], int]:
    """Calls made by fleets of so many workers for so many seconds each; a worker between fleets is killed."""
    chance = random.Random(seed)
    clocks: dict[tuple[str, int], float] = {}
    calls: list[float] = []
    writes = 0

    async def worker(leases: InMemoryLeases) -> None:
        limits = ProviderLimits(leases, {"twilio": limit})

        async def send_chunks() -> None:
            while True:
                slots = (await limits.reserve("twilio", chance.randint(1, 50))).slots
                if not slots:
                    await asyncio.sleep(chance.uniform(0.05, 0.5))
                await asyncio.gather(*(send_one(slot) for slot in slots))

        async def send_one(slot: float) -> None:
            if await limits.wait_for(slot):
                await asyncio.sleep(chance.uniform(0, 0.004))  # a busy event loop
                calls.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(send_chunks() for _ in range(4)))

    for workers, seconds in plan:
        leases = InMemoryLeases(clocks, chance)
        tasks = [asyncio.create_task(worker(leases)) for _ in range(workers)]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writes += leases.writes
    return calls, writes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [5.0, 20.0, 100.0, 400.0])
def test_fleet_that_grows_shrinks_and_dies_never_exceeds_the_limit(limit: float, seed: int) -> None:
    calls, _ = run_virtually(_fleet(limit, [(1, 4), (30, 4), (60, 3), (5, 4)], seed))

    assert most_in_a_second(calls) <= limit


@pytest.mark.parametrize("limit", [20.0, 100.0, 400.0])
def test_busy_fleet_uses_nine_tenths_of_the_limit(limit: float) -> None:
    calls, _ = run_virtually(_fleet(limit, [(20, 14)], seed=1))

    steady = [call for call in calls if 3 <= call < 13]
    assert len(steady) / 10 >= 0.9 * limit


def test_steady_demand_costs_far_fewer_writes_than_calls() -> None:
    async def steady() -> tuple[int, int]:
        leases = InMemoryLeases({}, random.Random(1))
        limits = ProviderLimits(leases, {"sendgrid": 10_000.0})
        made = 0
        for _ in range(2000):
            made += len((await limits.reserve("sendgrid", 1)).slots)
            await asyncio.sleep(0.004)  # 250 a second
        return made, leases.writes

    made, writes = run_virtually(steady())

    assert made == 2000
    assert writes <= 100


def test_full_timetable_reserves_nothing_and_moves_no_clock() -> None:
    async def full() -> tuple[int, float]:
        clocks = {("twilio", 0): HORIZON_SECONDS + 1}
        reservation = await ProviderLimits(InMemoryLeases(clocks, random.Random(1)), {"twilio": 10.0}).reserve(
            "twilio", 3
        )
        return len(reservation.slots), clocks["twilio", 0]

    assert run_virtually(full()) == (0, HORIZON_SECONDS + 1)


def test_provider_without_a_limit_is_not_limited() -> None:
    limits = ProviderLimits(InMemoryLeases({}, random.Random(1)), {"twilio": 10.0})

    assert limits.is_limited("twilio")
    assert not limits.is_limited("sendgrid")


def test_slots_whose_time_has_passed_are_lost() -> None:
    timetable = Timetable()
    timetable.add(Block(starts_at=10.0, calls=4, interval=1.0))

    assert timetable.take(now=11.5, wanted=5, until=12.5) == [12.0]
    assert timetable.take(now=11.5, wanted=5, until=20.0) == [13.0]


@pytest.mark.parametrize(("rate", "shards"), [(1, 1), (49, 1), (100, 2), (2000, 32), (10_000, 32)])
def test_limit_is_spread_over_shards_that_keep_their_pace_together(rate: float, shards: int) -> None:
    limit = Limit("a", rate)

    assert limit.shards == shards
    assert limit.shards / limit.interval < rate
