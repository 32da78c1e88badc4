"""One circuit for each account, written on condition of the version that was read."""

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.domain.breaker import Circuit, State
from shared.domain.errors import StoreUnavailable
from shared.domain.release_clock import ReleaseClock, StoredClock
from tests.fakes.in_memory_cosmos import InMemoryDatabase

OPEN = Circuit(State.OPEN, until=60.5, since=0.5, probe="p", paced_until=12.25)


def _store() -> tuple[CosmosProviderHealth, InMemoryDatabase]:
    database = InMemoryDatabase()
    return CosmosProviderHealth(database), database  # type: ignore[arg-type]


async def test_what_was_never_written_is_closed_and_has_no_version() -> None:
    store, _ = _store()

    stored = await store.read("fakepost")

    assert (stored.circuit, stored.version) == (Circuit(), None)


async def test_what_was_written_is_read() -> None:
    store, _ = _store()

    written = await store.write("fakepost", OPEN, None)

    assert written is not None
    assert written.circuit == OPEN
    assert await store.read("fakepost") == written
    assert (await store.read("otherpost")).version is None


async def test_of_two_who_read_the_same_one_writes() -> None:
    store, _ = _store()
    first = await store.write("fakepost", OPEN, None)
    assert first is not None

    assert await store.write("fakepost", Circuit(), None) is None
    second = await store.write("fakepost", Circuit(), first.version)
    assert second is not None
    assert await store.write("fakepost", OPEN, first.version) is None
    assert (await store.read("fakepost")).circuit == Circuit()


async def test_a_document_that_was_removed_is_not_written_over() -> None:
    store, database = _store()
    first = await store.write("fakepost", OPEN, None)
    assert first is not None
    database.container("rate-limits").documents.clear()

    assert await store.write("fakepost", Circuit(), first.version) is None


async def test_a_clock_has_a_version_of_its_own() -> None:
    store, _ = _store()
    assert await store.read_clock("fakepost") == StoredClock(ReleaseClock())
    clock = ReleaseClock(high=1.5, normal=2.5, low=3.5)

    written = await store.write_clock("fakepost", clock, None)

    assert written is not None
    assert written.clock == clock
    assert await store.write_clock("fakepost", ReleaseClock(), None) is None
    assert await store.read_clock("fakepost") == written
    assert (await store.read("fakepost")).version is None


async def test_a_store_that_is_away_says_so() -> None:
    store, database = _store()
    database.away = True

    with pytest.raises(StoreUnavailable):
        await store.read("fakepost")
    with pytest.raises(StoreUnavailable):
        await store.write("fakepost", OPEN, None)
