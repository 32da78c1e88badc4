"""A cap holds in every window, whatever processes come, go and believe about the time, and little of it is wasted."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.cosmos_counts import CosmosCounts
from shared.adapters.cosmos_limits import CosmosLeases
from shared.domain.window import Count, Window
from shared.pipeline.leased_caps import LeasedCaps
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.slow_store import FarAway
from tests.fakes.virtual_time import run_virtually

A_MINUTE = Count("sms:shop", "spend", Window(bucket_seconds=5, buckets=12))


class Processes:
    def __init__(self, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.database = InMemoryDatabase()
        self.database.steps = FarAway(self.chance)
        self.spent: list[tuple[float, int]] = []
        self.refused = 0

    def caps(self) -> LeasedCaps:
        """As a new process has them, by its own clock."""
        loop, skew = asyncio.get_running_loop(), self.chance.uniform(-5, 5)
        leases = CosmosLeases(self.database, monotonic=lambda: loop.time() + skew)  # type: ignore[arg-type]
        return LeasedCaps(CosmosCounts(self.database, leases))  # type: ignore[arg-type]

    async def spend(self, caps: LeasedCaps, amount: int, cap: int, count: Count = A_MINUTE) -> bool:
        if await caps.take(count, amount, cap) is None:
            self.refused += 1
            return False
        self.spent.append((asyncio.get_running_loop().time(), amount))
        return True

    async def run(self, plan: Sequence[tuple[int, float]], cap: int) -> None:
        """So many processes spend for so many seconds each, and die."""

        async def work() -> None:
            caps = self.caps()
            while True:
                await self.spend(caps, self.chance.randint(1, 20), cap)
                await asyncio.sleep(self.chance.uniform(0.05, 0.3))

        for processes, seconds in plan:
            tasks = [asyncio.create_task(work()) for _ in range(processes)]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def stored(self) -> dict[str, object]:
        return self.database.container("rate-limits").documents["sms:shop", "spend"]


def most_in_a_minute(spent: Sequence[tuple[float, int]]) -> int:
    return max(sum(amount for at, amount in spent if end - 60 < at <= end) for end, _ in spent)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    plan=st.lists(st.tuples(st.integers(1, 12), st.floats(3, 40)), min_size=1, max_size=4),
    cap=st.sampled_from([30, 500, 20_000]),
    seed=st.integers(0, 2**32),
)
def test_no_minute_holds_more_than_the_cap(plan: list[tuple[int, float]], cap: int, seed: int) -> None:
    processes = Processes(seed)

    run_virtually(processes.run(plan, cap))

    assert most_in_a_minute(processes.spent) <= cap


def test_cap_is_used_up_before_anybody_is_refused() -> None:
    async def until_refused(processes: Processes) -> None:
        caps = [processes.caps() for _ in range(5)]
        while processes.refused == 0:
            await asyncio.gather(*(processes.spend(each, 10, 20_000) for each in caps))

    processes = Processes()
    run_virtually(until_refused(processes))

    assert sum(amount for _, amount in processes.spent) >= 0.98 * 20_000


def test_who_asks_often_writes_seldom() -> None:
    async def often(processes: Processes) -> None:
        caps = processes.caps()
        await asyncio.gather(*(processes.spend(caps, 10, 1_000_000) for _ in range(1000)))

    processes = Processes()
    run_virtually(often(processes))

    assert len(processes.spent) == 1000
    assert processes.database.steps.names.count("patch") <= 20


def test_what_was_not_used_is_given_back() -> None:
    async def some(processes: Processes) -> tuple[object, object]:
        caps = processes.caps()
        for _ in range(40):
            await processes.spend(caps, 10, 100_000)
        total = processes.stored["total"]
        await asyncio.sleep(10)
        await processes.spend(caps, 10, 100_000)
        return total, processes.stored["total"]

    processes = Processes()
    held, after = run_virtually(some(processes))

    assert held > 400  # type: ignore[operator]
    assert after == 410


def test_call_that_was_not_made_leaves_room_for_another() -> None:
    async def scene(processes: Processes) -> list[bool]:
        caps = processes.caps()
        bucket = await caps.take(A_MINUTE, 60, 100)
        assert bucket is not None
        refused = await processes.spend(caps, 60, 100)
        caps.give_back(A_MINUTE, 60, bucket)
        return [refused, await processes.spend(caps, 60, 100)]

    assert run_virtually(scene(Processes())) == [False, True]


def test_room_comes_back_with_time() -> None:
    async def scene(processes: Processes) -> list[bool]:
        caps = processes.caps()
        found = []
        for pause in (0, 1, 30, 40):
            await asyncio.sleep(pause)
            found.append(await processes.spend(caps, 60, 100))
        return found

    assert run_virtually(scene(Processes())) == [True, False, False, True]


@pytest.mark.parametrize("amount", [101, 10**9])
def test_what_is_more_than_the_cap_costs_no_write(amount: int) -> None:
    async def scene(processes: Processes) -> bool:
        return await processes.spend(processes.caps(), amount, 100)

    processes = Processes()

    assert run_virtually(scene(processes)) is False
    assert "patch" not in processes.database.steps.names
