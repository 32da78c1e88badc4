import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_audit import CONTAINER, CosmosAuditLog
from shared.domain.audit_chain import AuditFact, Head, first_fault, partition_of
from shared.domain.errors import StoreUnavailable
from tests.fakes.clock import START
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.steps import Crash, Fault, FaultsAt
from tests.fakes.turn_taking import TurnTaking, every_order
from tests.fakes.world import TENANT

PARTITION = partition_of(TENANT, START)
LATER = timedelta(hours=1)


def a_fact(event_id: str = "e1", *, after: timedelta = timedelta(0), **detail: Any) -> AuditFact:
    return AuditFact(event_id, TENANT, START + after, "ops", "thing.change", "thing", detail)


def a_log(database: InMemoryDatabase) -> CosmosAuditLog:
    return CosmosAuditLog(database, 0)  # type: ignore[arg-type]


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


async def _assert_whole(log: CosmosAuditLog, partition: str, *event_ids: str) -> None:
    entries = list(await log.entries(partition, 2**53, 1000))[::-1]

    assert sorted(entry.fact.event_id for entry in entries) == sorted(event_ids)
    assert first_fault(entries, await log.head(partition)) is None


async def test_facts_come_back_as_a_chain_newest_first(database: InMemoryDatabase) -> None:
    log = a_log(database)
    facts = [a_fact(f"e{number}", rate=0.5 * number, ids=["a", "b"]) for number in range(5)]
    for fact in facts:
        await log.append(fact)

    entries = await log.entries(PARTITION, 2**53, 3)

    assert [entry.fact for entry in entries] == facts[:1:-1]
    assert [entry.fact for entry in await log.entries(PARTITION, 3, 100)] == facts[1::-1]
    await _assert_whole(log, PARTITION, *(fact.event_id for fact in facts))


async def test_a_fact_that_is_appended_again_is_there_once(database: InMemoryDatabase) -> None:
    log = a_log(database)
    for event_id in ("e1", "e2", "e1"):
        await log.append(a_fact(event_id))

    await _assert_whole(log, PARTITION, "e1", "e2")


async def test_event_ids_may_hold_any_character(database: InMemoryDatabase) -> None:
    await a_log(database).append(a_fact("a/b?c#d\\e"))

    await _assert_whole(a_log(database), PARTITION, "a/b?c#d\\e")


async def test_an_hour_names_the_one_before_it(database: InMemoryDatabase) -> None:
    log = a_log(database)
    await log.append(a_fact("e1"))
    await log.append(a_fact("e2"))
    await log.append(a_fact("e3", after=3 * LATER))

    first, before = partition_of(TENANT, START + 3 * LATER), await log.head(PARTITION)

    assert [entry.follows for entry in await log.entries(first, 2**53, 9)] == [(before,)]
    assert before.count == 2
    assert list(await log.newest(TENANT)) == [first, PARTITION]


async def test_a_late_fact_begins_a_partition_that_is_linked_all_the_same(database: InMemoryDatabase) -> None:
    log = a_log(database)
    for hours in (5, 2, 6):
        await log.append(a_fact(f"e{hours}", after=hours * LATER))

    [entry] = await log.entries(partition_of(TENANT, START + 6 * LATER), 2**53, 9)
    [late] = await log.entries(partition_of(TENANT, START + 2 * LATER), 2**53, 9)

    assert [head.partition for head in entry.follows] == [late.partition]
    assert [head.partition for head in late.follows] == [partition_of(TENANT, START + 5 * LATER)]


async def test_tenants_have_chains_of_their_own(database: InMemoryDatabase) -> None:
    log = a_log(database)
    await log.append(a_fact())

    assert list(await log.newest("another")) == []  # type: ignore[arg-type]
    assert await log.head("another:2026112412:0") == Head("another:2026112412:0")


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("step", range(6))
async def test_an_append_that_failed_anywhere_can_be_made_again(
    database: InMemoryDatabase, step: int, fault: Fault
) -> None:
    log = a_log(database)
    await log.append(a_fact("e0"))
    database.steps = FaultsAt({step: fault})
    fact = a_fact("e1", after=LATER)
    for _ in range(2):
        try:
            await log.append(fact)
        except (StoreUnavailable, Crash):
            database.steps.revive()
    await log.append(a_fact("e2", after=2 * LATER))

    await _assert_whole(log, partition_of(TENANT, START + LATER), "e1")
    [newest] = await log.entries(partition_of(TENANT, START + 2 * LATER), 2**53, 9)
    assert [head.count for head in newest.follows] == [1]


async def test_an_hour_that_was_begun_and_never_written_is_linked_past(database: InMemoryDatabase) -> None:
    log = a_log(database)
    await log.append(a_fact("e0"))
    database.steps = FaultsAt({4: Fault.CRASH_BEFORE})  # after the index, before the entry
    with pytest.raises(Crash):
        await log.append(a_fact("e1", after=LATER))
    database.steps.revive()

    await log.append(a_fact("e2", after=2 * LATER))

    [entry] = await log.entries(partition_of(TENANT, START + 2 * LATER), 2**53, 9)
    assert [(head.partition[-4:-2], head.count) for head in entry.follows] == [("13", 0), ("12", 1)]


def test_writers_at_once_never_fork_a_chain_in_whatever_order_they_go() -> None:
    def run(choices: Any) -> list[int]:
        database = InMemoryDatabase()
        turns = TurnTaking(choices)

        async def scenario() -> None:
            database.steps = turns
            await turns.conduct({name: lambda name=name: a_log(database).append(a_fact(name)) for name in ("a", "b")})
            await _assert_whole(a_log(database), PARTITION, "a", "b")

        asyncio.run(scenario())
        return turns.options

    assert sum(1 for _ in every_order(run)) > 20


async def test_many_writers_at_once_all_get_their_place(database: InMemoryDatabase) -> None:
    await asyncio.gather(*(a_log(database).append(a_fact(f"e{number}")) for number in range(10)))

    await _assert_whole(a_log(database), PARTITION, *(f"e{number}" for number in range(10)))


async def test_a_store_that_is_away_is_told(database: InMemoryDatabase) -> None:
    database.away = True

    with pytest.raises(StoreUnavailable):
        await a_log(database).append(a_fact())


async def test_entries_expire_together_and_before_their_head(database: InMemoryDatabase) -> None:
    log = a_log(database)
    await log.append(a_fact("e1"))
    await log.append(a_fact("e2", after=timedelta(minutes=30)))

    documents = database.container(CONTAINER).documents.values()
    entries = [document for document in documents if document["type"] == "entry"]
    [head] = [document for document in documents if document["type"] == "head"]

    ends = {START + timedelta(minutes=30 * n, seconds=each["ttl"]) for n, each in enumerate(entries)}
    assert ends == {START + timedelta(hours=1, days=90)}
    assert START + timedelta(minutes=30, seconds=head["ttl"]) == START + timedelta(hours=1, days=91)
