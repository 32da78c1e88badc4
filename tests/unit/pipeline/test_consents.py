"""From the moment an opt-out is acknowledged nothing is sent against it, however many processes remember otherwise."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.preferences import Consent, Preferences
from shared.domain.suppressed_address import AddressMark
from shared.pipeline.consents import (
    ACKNOWLEDGED_AFTER_SECONDS,
    KEPT_SECONDS,
    LEASE_SECONDS,
    READ_EVERY_SECONDS,
    Consents,
)
from tests.fakes.preferences import InMemoryPreferences
from tests.fakes.virtual_time import run_virtually

SHOP = TenantId("shop")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
WILLING = Preferences(consents={("marketing", "*"): Consent(granted=True, source="form", at=MONDAY)})
UNWILLING = Preferences(consents={("marketing", "*"): Consent(granted=False, source="link", at=MONDAY)})
MARK = AddressMark(7, "ab")
WORKERS = 20
FROM_CHECK_TO_SEND = ACKNOWLEDGED_AFTER_SECONDS - LEASE_SECONDS


@pytest.mark.parametrize("seed", range(15))
def test_no_send_starts_after_an_acknowledged_opt_out_with_stale_memories_on_20_workers(seed: int):
    """Each worker checks, dawdles for as long as it may, and sends; the opt-out comes at any time."""
    chance = random.Random(seed)
    sent: list[float] = []
    acknowledged: list[float] = []

    async def work(consents: Consents, stop: asyncio.Event) -> None:
        time = asyncio.get_running_loop().time
        while not stop.is_set():
            known = await consents.profile(SHOP, "ada")
            if known and known.consents["marketing", "*"].granted:
                await asyncio.sleep(chance.uniform(0, FROM_CHECK_TO_SEND * 0.99))
                sent.append(time())
            await asyncio.sleep(chance.uniform(0, 0.3))

    async def opt_out(store: InMemoryPreferences, consents: Consents) -> None:
        await asyncio.sleep(chance.uniform(0.5, 5))
        known = await store.read(SHOP, "ada")
        await store.replace(SHOP, "ada", UNWILLING, known.version if known else "")
        await consents.changed(SHOP, "ada")
        acknowledged.append(asyncio.get_running_loop().time())

    async def story() -> None:
        store = InMemoryPreferences(start=1e9, latency=0.2, seed=seed)
        await store.replace(SHOP, "ada", WILLING, "")
        stop = asyncio.Event()
        workers = [asyncio.create_task(work(Consents(store), stop)) for _ in range(WORKERS)]
        await opt_out(store, Consents(store))
        await asyncio.sleep(10)
        stop.set()
        await asyncio.gather(*workers)

    run_virtually(story())

    assert len(sent) > WORKERS
    assert max(sent) < acknowledged[0]


def test_a_process_that_waits_for_less_than_agreed_would_be_caught():
    """The checker above is proven: without the wait for the acknowledgement it finds sends."""
    late = []

    async def story() -> None:
        store = InMemoryPreferences(start=1e9)
        await store.replace(SHOP, "ada", WILLING, "")
        consents = Consents(store)
        await consents.profile(SHOP, "ada")
        known = await store.read(SHOP, "ada")
        await store.replace(SHOP, "ada", UNWILLING, known.version if known else "")
        await store.tell(SHOP, ["c-whatever"])
        late.append(await consents.profile(SHOP, "ada"))

    run_virtually(story())

    assert late == [WILLING]


def test_a_cold_start_with_5000_questions_about_100_customers_reads_each_once():
    store = InMemoryPreferences(start=1e9, latency=0.05)

    async def story() -> None:
        for number in range(100):
            await store.replace(SHOP, f"c{number}", WILLING, "")
        consents = Consents(store)
        store.calls.clear()
        await asyncio.gather(*(consents.profile(SHOP, f"c{number % 100}") for number in range(5000)))

    run_virtually(story())

    assert store.calls["read"] == 100
    assert store.calls["kept"] == 1


def test_a_tenant_that_keeps_nothing_costs_no_look_up():
    store = InMemoryPreferences(start=1e9)

    async def story() -> None:
        consents = Consents(store)
        for number in range(50):
            assert await consents.profile(SHOP, f"c{number}") is None
            assert await consents.suppressed_for(SHOP, MARK) is None

    run_virtually(story())

    assert (store.calls["read"], store.calls["suppressed"]) == (0, 0)


def test_the_first_profile_of_a_tenant_is_noticed_by_those_who_knew_there_was_none():
    async def story() -> None:
        store = InMemoryPreferences(start=1e9)
        one, other = Consents(store), Consents(store)
        assert await other.profile(SHOP, "ada") is None
        await store.replace(SHOP, "ada", UNWILLING, "")
        await one.changed(SHOP, "ada")
        assert await other.profile(SHOP, "ada") == UNWILLING

    run_virtually(story())


def test_a_suppressed_address_is_known_to_all_and_lifted_for_all():
    async def story() -> None:
        store = InMemoryPreferences(start=1e9)
        one, other = Consents(store), Consents(store)
        assert await other.suppressed_for(SHOP, MARK) is None
        await store.suppress(SHOP, MARK, "bounced", MONDAY)
        await one.changed(SHOP, mark=MARK)
        assert await other.suppressed_for(SHOP, MARK) == "bounced"
        await store.lift(SHOP, MARK, "bounced", MONDAY)
        await one.changed(SHOP, mark=MARK)
        assert await other.suppressed_for(SHOP, MARK) is None

    run_virtually(story())


def test_while_the_log_cannot_be_read_nobody_relies_on_memory():
    async def story() -> None:
        store = InMemoryPreferences(start=1e9)
        consents = Consents(store)
        await store.replace(SHOP, "ada", WILLING, "")
        await consents.profile(SHOP, "ada")
        store.away = True
        await asyncio.sleep(READ_EVERY_SECONDS * 1.1)
        with pytest.raises(StoreUnavailable):
            await consents.profile(SHOP, "ada")

    run_virtually(story())


def test_a_store_that_answers_too_slowly_is_as_good_as_away():
    async def story() -> None:
        store = InMemoryPreferences(start=1e9)
        consents = Consents(store)
        await consents.profile(SHOP, "ada")
        store.latency = 40.0
        await asyncio.sleep(READ_EVERY_SECONDS * 1.1)
        with pytest.raises(StoreUnavailable):
            await consents.profile(SHOP, "ada")

    run_virtually(story())


def test_a_young_decision_stands_without_a_look_until_something_changes():
    store = InMemoryPreferences(start=1e9)

    async def story() -> None:
        consents = Consents(store)
        await consents.keeps(SHOP)
        await asyncio.sleep(30)
        decided = 1e9 + asyncio.get_running_loop().time()
        await asyncio.sleep(20)
        assert await consents.stands(SHOP, "ada", [MARK], decided)
        await store.tell(SHOP, ["c-somebody else"])
        await asyncio.sleep(1)
        assert await consents.stands(SHOP, "ada", [MARK], decided)
        await consents.changed(SHOP, "ada")
        assert not await consents.stands(SHOP, "ada", [MARK], decided)
        assert await consents.stands(SHOP, "bob", [MARK], decided)

    run_virtually(story())

    assert store.calls["read"] == 0


def test_a_decision_older_than_the_known_log_does_not_stand():
    async def story() -> None:
        consents = Consents(InMemoryPreferences(start=1e9))
        long_ago = 1e9 - timedelta(minutes=20).total_seconds()
        assert not await consents.stands(SHOP, "ada", [], long_ago)

    run_virtually(story())


def test_what_is_kept_is_read_again_in_the_end():
    store = InMemoryPreferences(start=1e9)

    async def story() -> None:
        consents = Consents(store)
        await store.replace(SHOP, "ada", WILLING, "")
        await consents.profile(SHOP, "ada")
        await asyncio.sleep(KEPT_SECONDS * 1.2)
        await consents.profile(SHOP, "ada")

    run_virtually(story())

    assert store.calls["read"] == 2


def test_a_log_entry_is_acted_on_once_though_it_is_read_again_and_again():
    store = InMemoryPreferences(start=1e9)

    async def story() -> None:
        consents = Consents(store)
        await store.replace(SHOP, "ada", WILLING, "")
        await consents.changed(SHOP, "ada")
        for _ in range(20):
            await consents.profile(SHOP, "ada")
            await asyncio.sleep(READ_EVERY_SECONDS * 1.1)

    run_virtually(story())

    assert store.calls["read"] == 1
