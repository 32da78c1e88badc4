"""What notifications go through is in the audit trail: from the outside, as the change feed shows them."""

import json
from typing import Any

import pytest

from shared.adapters.cosmos_audit import CONTAINER
from shared.domain.audit_chain import PACK, AuditEntry, first_fault
from shared.domain.errors import StoreUnavailable
from shared.pipeline import audit_trail
from shared.pipeline.cancel import cancel_notification
from shared.pipeline.recorded import Recorded
from tests.fakes.steps import Crash, Fault, FaultsAt
from tests.fakes.world import ADDRESS, CALLER, TENANT, World


@pytest.fixture
def world() -> World:
    return World()


async def _show(world: World) -> int:
    """The feed shows every notification at its newest version."""
    return await audit_trail.record_changes(
        [document for document in world.documents.values() if document["type"] == "notification"], world.services
    )


async def _packs(world: World) -> list[AuditEntry]:
    documents = world.database.container(CONTAINER).documents.values()
    partitions = sorted({document["partitionKey"] for document in documents if document["type"] == "entry"})
    packs: list[AuditEntry] = []
    for partition in partitions:
        entries = list(await world.services.audit.entries(partition, 2**53, 1000))[::-1]
        assert first_fault(entries, await world.services.audit.head(partition)) is None
        packs += [entry for entry in entries if entry.fact.action == PACK]
    return packs


async def _recorded(world: World) -> list[dict[str, Any]]:
    return [each for entry in await _packs(world) for each in json.loads(str(entry.fact.detail["records"]))]


async def test_an_acceptance_is_recorded_with_who_and_what_and_no_personal_data(world: World) -> None:
    accepted = await world.submit()
    await _show(world)

    [records] = await _recorded(world)

    assert records == {
        "trackingId": accepted.tracking_id,
        "customerId": "cust-1",
        "from": 0,
        "history": [],
        "accepted": {
            "at": "2026-11-24T12:00:00.000Z", "by": TENANT, "category": "transactional", "lane": "normal",
            "channels": ["email"],
        },
    }  # fmt: skip


async def test_each_change_is_recorded_once(world: World) -> None:
    await world.submit()
    assert await _show(world) == 1
    document = next(document for document in world.documents.values() if document["type"] == "notification")
    document["history"].append({"at": "2026-11-24T12:00:01.000Z", "channel": "email", "status": "sent", "attempt": 1})
    assert await _show(world) == 1
    assert await _show(world) == 0

    first, second = sorted(await _recorded(world), key=lambda records: records["from"])

    assert (first["from"], len(first["history"])) == (0, 0)
    assert (second["from"], [entry["status"] for entry in second["history"]]) == (1, ["sent"])


async def test_a_call_of_the_feed_makes_one_entry_for_each_tenant(world: World) -> None:
    for _ in range(7):
        await world.submit()

    await _show(world)

    assert len(await _packs(world)) == 1
    assert len(await _recorded(world)) == 7


async def test_a_call_that_is_repeated_after_a_crash_adds_nothing(world: World) -> None:
    for _ in range(3):
        await world.submit()
    world.watch(FaultsAt({3: Fault.CRASH_AFTER}))  # the entry is stored, the feed's place is not
    with pytest.raises(Crash):
        await _show(world)
    world.restart()

    await _show(world)

    assert len(await _packs(world)) == 1


async def test_a_feed_from_zero_repeats_records_word_for_word_and_breaks_no_chain(world: World) -> None:
    await world.submit()
    await _show(world)
    await world.submit()
    await _show(world)
    world.restart()

    await _show(world)

    recorded = await _recorded(world)
    by_id: dict[str, set[str]] = {}
    for each in recorded:
        by_id.setdefault(each["trackingId"], set()).add(json.dumps(each, sort_keys=True))
    assert len(recorded) == 4
    assert {len(copies) for copies in by_id.values()} == {1}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("step", range(6))
async def test_whatever_fails_the_next_call_has_everything(world: World, step: int, fault: Fault) -> None:
    accepted = await world.submit()
    world.watch(FaultsAt({step: fault}))
    try:
        await _show(world)
    except (StoreUnavailable, Crash):
        world.restart()
    world.watch(FaultsAt({}))

    await _show(world)

    assert {each["trackingId"] for each in await _recorded(world)} == {accepted.tracking_id}


async def test_no_address_content_or_data_reaches_the_trail(world: World) -> None:
    canary = "canary-7f3a"
    await world.submit(
        recipient={"customerId": "cust-1", "email": f"{canary}@example.com"},
        content={"email": {"subject": canary, "text": canary}},
        reference=canary,
        metadata={"note": canary},
        correlationId=canary,
    )
    await _show(world)

    stored = json.dumps([*world.database.container(CONTAINER).documents.values()])

    assert canary not in stored
    assert ADDRESS not in stored


async def test_a_cancelled_notification_says_so(world: World) -> None:
    accepted = await world.submit(sendAt="2026-11-24T18:00:00Z")
    await cancel_notification(accepted.tracking_id, CALLER, world.services)
    await _show(world)

    [records] = await _recorded(world)

    assert [entry["status"] for entry in records["history"]] == ["cancelled"]


def test_what_was_recorded_is_remembered_for_the_last_notifications_only() -> None:
    recorded = Recorded(2)
    for name, count in (("a", 1), ("b", 2), ("a", 3), ("c", 1)):
        recorded.note(name, count)

    assert [recorded.count(name) for name in "abc"] == [3, 0, 1]
