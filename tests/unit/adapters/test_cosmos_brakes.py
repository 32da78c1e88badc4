import asyncio

import pytest

from shared.adapters.cosmos_brakes import CosmosBrakes
from shared.domain.brakes import Tally
from shared.domain.errors import StoreUnavailable
from shared.domain.quarantine import Subject
from tests.fakes.in_memory_cosmos import InMemoryDatabase

SHOP = Subject("shop", "welcome")


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
def store(database: InMemoryDatabase) -> CosmosBrakes:
    return CosmosBrakes(database)  # type: ignore[arg-type]


async def test_what_processes_tell_of_a_window_adds_up(store: CosmosBrakes) -> None:
    await asyncio.gather(*(store.tell(SHOP, 100, 10, 3) for _ in range(8)))

    assert await store.tell(SHOP, 100, 1, 0) == Tally(100, deliveries=81, failures=24, known_since=100)


async def test_a_new_window_begins_with_the_first_that_tells_of_it(store: CosmosBrakes) -> None:
    await store.tell(SHOP, 100, 500, 9)

    told = await store.tell(SHOP, 101, 20, 1)

    assert told == Tally(101, deliveries=20, failures=1, previous=500, known_since=100)


async def test_what_is_told_late_still_counts_for_its_window(store: CosmosBrakes) -> None:
    await store.tell(SHOP, 100, 500, 9)
    await store.tell(SHOP, 101, 20, 1)
    await store.tell(SHOP, 100, 300, 0)

    assert (await store.tell(SHOP, 102, 1, 0)).peak == pytest.approx(800, rel=0.01)


async def test_what_is_told_too_late_changes_nothing(store: CosmosBrakes) -> None:
    await store.tell(SHOP, 100, 5, 0)

    assert (await store.tell(SHOP, 50, 5000, 0)).deliveries == 5


async def test_subjects_are_apart(store: CosmosBrakes) -> None:
    await store.tell(SHOP, 100, 5, 0)

    assert (await store.tell(Subject("shop"), 100, 7, 0)).deliveries == 7


async def test_a_store_that_is_away_is_said_in_our_words(store: CosmosBrakes, database: InMemoryDatabase) -> None:
    database.away = True

    with pytest.raises(StoreUnavailable):
        await store.tell(SHOP, 100, 5, 0)
