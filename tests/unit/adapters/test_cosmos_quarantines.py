import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.cosmos_quarantines import CosmosQuarantines
from shared.domain.errors import NotFound, StoreUnavailable
from shared.domain.notification import Category, Lane
from shared.domain.quarantine import Because, Quarantine, Subject
from tests.fakes.clock import START
from tests.fakes.in_memory_cosmos import InMemoryDatabase

SHOP = Quarantine(
    Subject("shop", "welcome"),
    START,
    Because.FAILURES,
    "brakes",
    lanes=frozenset({Lane.LOW}),
    categories=frozenset({Category.MARKETING}),
    evidence={"failures": 99},
    note="why",
)


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
def store(database: InMemoryDatabase) -> CosmosQuarantines:
    return CosmosQuarantines(database)  # type: ignore[arg-type]


async def test_a_quarantine_comes_back_as_it_was_opened(store: CosmosQuarantines) -> None:
    assert await store.active() == []

    assert await store.open(SHOP) == SHOP
    assert await store.active() == await store.list_all() == [SHOP]


async def test_of_many_who_open_the_same_at_once_one_does(store: CosmosQuarantines) -> None:
    opened = await asyncio.gather(*(store.open(replace(SHOP, opened_by=f"process-{n}")) for n in range(10)))

    assert len({each.opened_by for each in opened}) == 1
    assert len(await store.active()) == 1


async def test_what_is_released_holds_nothing_and_is_still_listed(store: CosmosQuarantines) -> None:
    await store.open(SHOP)

    released = await store.release(SHOP.id, "ops", START + timedelta(minutes=5))
    again = await store.release(SHOP.id, "somebody else", START + timedelta(minutes=9))

    assert (released.released_by, released.released_at) == ("ops", START + timedelta(minutes=5))
    assert again == released
    assert await store.active() == []
    assert await store.list_all() == [released]


async def test_what_was_released_can_be_opened_again_but_not_at_once_by_who_asks_not_to(
    store: CosmosQuarantines,
) -> None:
    await store.open(SHOP)
    released = await store.release(SHOP.id, "ops", START + timedelta(minutes=5))
    later = replace(SHOP, since=START + timedelta(minutes=10))

    assert await store.open(later, unless_released_after=START) == released
    assert await store.open(later, unless_released_after=START + timedelta(minutes=6)) == later
    assert await store.active() == [later]


async def test_what_is_held_adds_up_until_it_is_released(store: CosmosQuarantines) -> None:
    await store.open(SHOP)
    await asyncio.gather(*(store.add_held(SHOP.id, {"welcome": 50, "": 2}) for _ in range(5)))
    await store.add_held(SHOP.id, {f"template-{n}": 1 for n in range(25)})
    [held] = await store.active()
    await store.release(SHOP.id, "ops", START)
    await store.add_held(SHOP.id, {"welcome": 50})
    await store.add_held("tenant.nobody", {"welcome": 50})
    [released] = await store.list_all()

    assert (held.held["welcome"], held.held[""], sum(held.held.values())) == (250, 10, 285)
    assert released.held == held.held


async def test_nobody_releases_what_there_is_not(store: CosmosQuarantines) -> None:
    with pytest.raises(NotFound):
        await store.release("tenant.nobody", "ops", START)


async def test_a_store_that_is_away_is_said_in_our_words(store: CosmosQuarantines, database: InMemoryDatabase) -> None:
    database.away = True

    for call in (store.active(), store.open(SHOP), store.release(SHOP.id, "x", START), store.add_held("x", {"": 1})):
        with pytest.raises(StoreUnavailable):
            await call
