import asyncio
import random
from datetime import timedelta

from shared.adapters.cosmos_frequency import CosmosFrequency
from shared.domain.tenant_policy import FrequencyCap
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.slow_store import FarAway
from tests.fakes.virtual_time import run_virtually

THREE_A_DAY = FrequencyCap(3, timedelta(hours=24))


def a_store() -> tuple[CosmosFrequency, InMemoryDatabase]:
    database = InMemoryDatabase()
    database.steps = FarAway(random.Random(1))
    return CosmosFrequency(database), database  # type: ignore[arg-type]


def test_of_many_at_once_no_more_are_let_through_than_the_cap_allows() -> None:
    async def rush() -> list[bool]:
        store, _ = a_store()
        return await asyncio.gather(*(store.count("c", "sms", str(n), 1000.0 + n, THREE_A_DAY) for n in range(6)))

    assert sum(run_virtually(rush())) == 3


def test_copies_of_one_send_count_once() -> None:
    async def copies() -> tuple[list[bool], dict[str, float]]:
        store, database = a_store()
        answers = await asyncio.gather(*(store.count("c", "sms", "same", 1000.0, THREE_A_DAY) for _ in range(4)))
        return answers, database.container("rate-limits").documents["c", "sms"]["sends"]

    assert run_virtually(copies()) == ([True] * 4, {"same": 1000.0})


def test_what_is_kept_expires_with_its_window() -> None:
    async def one() -> int:
        store, database = a_store()
        await store.count("c", "sms", "a", 1000.0, THREE_A_DAY)
        return database.container("rate-limits").documents["c", "sms"]["ttl"]

    assert run_virtually(one()) == 24 * 3600 + 1
