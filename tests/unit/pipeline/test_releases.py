"""Every held delivery has a time of its own, whichever process asks, for less than a write each."""

import asyncio
import random
from collections import Counter

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.domain.notification import Lane
from shared.pipeline.releases import Releases
from tests.fakes.fleet import Latency
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.virtual_time import run_virtually

POST = "fakepost"
BACK_AT = 1_000.0


def _processes(count: int, rate: float = 10.0) -> tuple[list[Releases], InMemoryDatabase, Latency]:
    database, latency = InMemoryDatabase(), Latency(random.Random(count))
    database.steps = latency
    store = CosmosProviderHealth(database)  # type: ignore[arg-type]
    return [Releases(store, {POST: rate}) for _ in range(count)], database, latency


@pytest.mark.parametrize("processes", [1, 4, 20])
def test_all_processes_share_one_rate(processes: int) -> None:
    async def scene() -> tuple[list[float], int]:
        releases, _, latency = _processes(processes)

        async def hold_one(each: Releases) -> float:
            await asyncio.sleep(random.Random(id(each)).uniform(0, 0.1))
            return await each.time_for(POST, Lane.NORMAL, 1, earliest=BACK_AT)

        times = await asyncio.gather(*(hold_one(each) for each in releases for _ in range(200 // processes)))
        return list(times), len(latency.names)

    times, calls = run_virtually(scene())

    seconds = Counter(int(time - BACK_AT) for time in times)
    assert max(seconds.values()) <= 11
    assert len(set(times)) >= 0.98 * len(times)
    assert calls < 400


def test_who_waits_in_one_process_shares_a_write() -> None:
    async def scene() -> int:
        [releases], _, latency = _processes(1)
        await asyncio.gather(*(releases.time_for(POST, Lane.NORMAL, 1, earliest=BACK_AT) for _ in range(500)))
        return len(latency.names)

    assert run_virtually(scene()) <= 5


def test_without_a_store_times_are_spread_by_chance() -> None:
    async def scene() -> list[float]:
        [releases], database, _ = _processes(1)
        database.away = True
        return [await releases.time_for(POST, Lane.LOW, 1, earliest=BACK_AT) for _ in range(50)]

    times = run_virtually(scene())

    assert min(times) >= BACK_AT
    assert max(times) - min(times) > 1


def test_up_to_when_times_were_given_out_is_known_to_all() -> None:
    async def scene() -> tuple[float, float, float]:
        (first, second), database, _ = _processes(2)
        await first.time_for(POST, Lane.NORMAL, 50, earliest=BACK_AT)
        known = await second.given_until(POST, Lane.NORMAL), await second.given_until(POST, Lane.HIGH)
        database.away = True
        return (*known, await second.given_until(POST, Lane.NORMAL))

    assert run_virtually(scene()) == (BACK_AT + 5, 0.0, 0.0)
