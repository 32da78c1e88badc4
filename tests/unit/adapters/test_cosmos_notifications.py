"""The store over documents in memory: what each conditional patch lets through, and how refusals are read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters import cosmos_patches
from shared.contracts.events import NotificationSubmitted
from shared.domain.callback_mark import CallbackMark, CallbackState
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import Conflict, NotFound, StoreUnavailable
from shared.domain.idempotency import KeyRecord, KeyTaken
from shared.domain.identifiers import AttemptRef, PartitionKey, TenantId, TrackingId, new_tracking_id
from shared.domain.notification import Attempt
from shared.domain.outcome import Claimed, ClaimRefusal, NotClaimed, Nudge, Outcome, StatusChange
from shared.domain.status import DeliveryStatus, is_outcome
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.in_memory_cosmos import MAX_PATCH_OPERATIONS
from tests.fakes.steps import Fault, FaultsAt, StepsThrough
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body

S = DeliveryStatus
PARTITION = PartitionKey("shop:0001")


def _key(**changes: Any) -> KeyRecord:
    now = World().clock.now()
    record = KeyRecord("key-1", TENANT, PARTITION, "digest", created_at=now, touched_at=now, plan="p")
    return replace(record, **changes)


async def _stored(world: World, count: int = 1) -> Chunk:
    await submit_batch(a_batch([a_body() for _ in range(count)]), CALLER, world.services)
    [message] = world.publisher.take(SUBMITTED)
    return NotificationSubmitted.model_validate_json(message.body).to_chunk()


async def _claim(world: World, chunk: Chunk, claim_id: str, attempt: int = 1) -> list[Claimed | NotClaimed]:
    wanted = [replace(item, attempt=attempt) for item in chunk.items]
    return list(
        await world.services.notifications.claim(
            chunk.partition_key, "email", wanted, claim_id=claim_id, wake_at=world.clock.now() + timedelta(seconds=45)
        )
    )


def _outcome(world: World, chunk: Chunk, claim_id: str, status: DeliveryStatus, attempt: int = 1) -> Outcome:
    item = chunk.items[0]
    reference = AttemptRef(chunk.tenant_id, item.tracking_id, "email", attempt)
    now = world.clock.now()
    finished = Attempt(reference.attempt_id, attempt, now, "fake-email", status.value, None, "m1", now)
    wake_at = None if is_outcome(status) else now + timedelta(seconds=60)
    return Outcome(
        tracking_id=item.tracking_id,
        channel="email",
        claim_id=claim_id,
        status=status,
        attempt=finished,
        at=now,
        wake_at=wake_at,
        due_at=wake_at,
    )


def _stand(world: World, status: DeliveryStatus, **fields: Any) -> None:
    for document in world.documents.values():
        document["deliveries"]["email"] |= {"status": status.value} | fields


def _refusals(answers: list[Claimed | NotClaimed]) -> list[str]:
    return ["claimed" if isinstance(answer, Claimed) else answer.refusal.value for answer in answers]


async def test_the_first_to_claim_holds_the_attempt_and_gets_the_notification_with_it() -> None:
    world = World()
    chunk = await _stored(world)

    [first] = await _claim(world, chunk, "a")
    [second] = await _claim(world, chunk, "b")

    assert isinstance(first, Claimed)
    delivery = first.notification.deliveries["email"]
    assert (delivery.status, delivery.claim_id, delivery.attempt, len(delivery.attempts)) == (S.SENDING, "a", 1, 1)
    assert isinstance(second, NotClaimed)
    assert second.refusal is ClaimRefusal.HELD


async def test_a_holder_who_asks_again_is_told_that_it_holds() -> None:
    world = World()
    chunk = await _stored(world)
    await _claim(world, chunk, "a")

    assert _refusals(await _claim(world, chunk, "a")) == ["claimed"]
    assert len(world.delivery().attempts) == 1


@pytest.mark.parametrize("status", [S.QUEUED, S.SCHEDULED, S.RETRYING])
async def test_what_waits_can_be_claimed(status: DeliveryStatus) -> None:
    world = World()
    chunk = await _stored(world)
    _stand(world, status)

    assert _refusals(await _claim(world, chunk, "a")) == ["claimed"]


@pytest.mark.parametrize(
    ("status", "attempt", "wanted", "refusal"),
    [
        *((status, 1, 1, "done") for status in DeliveryStatus if is_outcome(status)),
        (S.SENT, 0, 1, "done"),
        (S.RETRYING, 1, 1, "done"),
        (S.IN_DOUBT, 1, 1, "done"),
        (S.SENDING, 1, 1, "held"),
        (S.SENDING, 2, 1, "done"),
        (S.SENDING, 1, 2, "early"),
        (S.IN_DOUBT, 1, 2, "early"),
        (S.QUEUED, 0, 2, "early"),
        (S.RETRYING, 3, 1, "done"),
    ],
)
async def test_a_refusal_says_why(status: DeliveryStatus, attempt: int, wanted: int, refusal: str) -> None:
    world = World()
    chunk = await _stored(world)
    _stand(world, status, attempt=attempt)

    assert _refusals(await _claim(world, chunk, "a", wanted)) == [refusal]


async def test_in_a_chunk_each_claim_is_judged_alone() -> None:
    world = World()
    chunk = await _stored(world, 6)
    for item, status in zip(chunk.items, [S.SENT, S.QUEUED, S.SENDING, S.QUEUED, S.FAILED, S.QUEUED], strict=True):
        document = world.documents[chunk.partition_key, item.tracking_id]
        document["deliveries"]["email"] |= {"status": status.value, "attempt": 0 if status is S.QUEUED else 1}
    ghost = ChunkItem(TrackingId(new_tracking_id(world.clock.now(), 1)))
    answers = await _claim(world, replace(chunk, items=(*chunk.items, ghost)), "a")

    assert _refusals(answers) == ["done", "claimed", "held", "claimed", "done", "claimed", "unknown"]


@pytest.mark.parametrize("stands", DeliveryStatus)
@pytest.mark.parametrize("told", [S.SENT, S.DELIVERED, S.FAILED, S.EXPIRED, S.RETRYING, S.IN_DOUBT])
async def test_an_outcome_is_recorded_only_where_its_holder_may(stands: DeliveryStatus, told: DeliveryStatus) -> None:
    world = World()
    chunk = await _stored(world)
    await _claim(world, chunk, "a")
    _stand(world, stands)

    await world.services.notifications.record_outcomes(chunk.partition_key, [_outcome(world, chunk, "a", told)])

    guessed = {S.IN_DOUBT, S.RETRYING} if is_outcome(told) else {S.IN_DOUBT} if told is S.RETRYING else set()
    assert world.delivery().status is (told if stands in {S.SENDING} | guessed else stands)
    assert world.delivery().attempts[0].outcome == told.value


async def test_only_the_holder_records() -> None:
    world = World()
    chunk = await _stored(world)
    await _claim(world, chunk, "a")

    await world.services.notifications.record_outcomes(chunk.partition_key, [_outcome(world, chunk, "b", S.SENT)])

    assert (world.delivery().status, world.delivery().attempts[0].outcome) == (S.SENDING, None)


async def test_an_outcome_recorded_twice_shows_once() -> None:
    world = World()
    chunk = await _stored(world)
    await _claim(world, chunk, "a")

    for _ in range(3):
        await world.services.notifications.record_outcomes(chunk.partition_key, [_outcome(world, chunk, "a", S.SENT)])

    assert [entry.status for entry in world.notifications[0].history] == [S.SENT]


async def test_doubt_stays_visible_after_it_is_settled() -> None:
    world = World()
    chunk = await _stored(world)
    await _claim(world, chunk, "a")
    store = world.services.notifications
    await store.record_outcomes(chunk.partition_key, [_outcome(world, chunk, "a", S.IN_DOUBT)])

    change = StatusChange(chunk.items[0].tracking_id, "email", S.DELIVERED, 1, world.clock.now())
    await store.record_changes(chunk.partition_key, [change])

    assert (world.delivery().status, world.delivery().was_in_doubt) == (S.DELIVERED, True)


async def test_committing_the_same_again_is_success_and_another_holder_of_the_key_is_told() -> None:
    world = World()
    await world.submit()
    [notification] = world.notifications
    store = world.services.notifications

    await store.commit([notification])
    assert world.notifications == [notification]
    await store.commit([replace(notification, tracking_id=new_tracking_id(world.clock.now(), 1))], None)
    fresh = replace(notification, tracking_id=new_tracking_id(world.clock.now(), 2))
    key = _key(partition_key=notification.partition_key)
    await store.commit([fresh], key)
    with pytest.raises(KeyTaken):
        await store.commit([replace(notification, tracking_id=new_tracking_id(world.clock.now(), 3))], key)

    assert len(world.notifications) == 3


async def test_a_key_is_created_once_and_replaced_by_who_saw_it_last() -> None:
    store = World().services.notifications
    created = await store.create_key(_key())
    with pytest.raises(KeyTaken):
        await store.create_key(_key(plan="q"))

    replaced = await store.replace_key(replace(created, answer="answer"))
    with pytest.raises(Conflict):
        await store.replace_key(replace(created, answer="other"))

    assert await store.read_key(PARTITION, "key-1") == replaced
    assert replaced.answer == "answer"
    assert await store.read_key(PARTITION, "key-2") is None


async def test_a_nudge_moves_what_still_stands_where_it_was_seen() -> None:
    world = World()
    chunk = await _stored(world)
    delivery = world.delivery()
    assert delivery.wake_at is not None
    now = world.clock.now()
    nudge = Nudge(
        chunk.items[0].tracking_id, "email", S.QUEUED, delivery.wake_at, S.QUEUED, now + timedelta(hours=1), now
    )
    store = world.services.notifications

    first = await store.record_nudges(chunk.partition_key, [nudge])
    second = await store.record_nudges(chunk.partition_key, [nudge])

    assert (list(first), list(second)) == ([True], [False])


async def test_overdue_is_what_has_not_ended_and_slept_long_enough() -> None:
    world = World()
    await _stored(world, 3)
    store = world.services.notifications

    assert await store.overdue(world.clock.now() + timedelta(seconds=59), 10) == []
    late = world.clock.now() + timedelta(seconds=61)
    assert len(await store.overdue(late, 10)) == 3
    assert len(await store.overdue(late, 2)) == 2
    _stand(world, S.SENT, wakeAt=None)
    assert await store.overdue(late, 10) == []


async def test_what_is_not_there_is_not_found() -> None:
    world = World()

    with pytest.raises(NotFound):
        await world.services.notifications.read(TENANT, new_tracking_id(world.clock.now(), 1))


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
async def test_a_store_that_fails_says_so_in_our_words(fault: Fault) -> None:
    world = World()
    chunk = await _stored(world, 2)
    store = world.services.notifications
    change = StatusChange(chunk.items[0].tracking_id, "email", S.DELIVERED, 1, world.clock.now())
    calls = [
        lambda: store.read(TENANT, chunk.items[0].tracking_id),
        lambda: store.create_key(_key()),
        lambda: _claim(world, chunk, "a"),
        lambda: store.record_changes(chunk.partition_key, [change]),
        lambda: store.overdue(world.clock.now(), 10),
        store.ping,
    ]
    for call in calls:
        world.watch(FaultsAt({0: fault}))
        with pytest.raises(StoreUnavailable):
            await call()


@pytest.mark.parametrize("status", DeliveryStatus)
def test_no_patch_has_more_operations_than_the_store_takes(status: DeliveryStatus) -> None:
    world = World()
    now = world.clock.now()
    item = ChunkItem(TrackingId("01M86PTPG0FM4ZR32P5GKMSV2T"))
    chunk = Chunk(TenantId("shop"), PARTITION, "email", "normal", (item,))  # type: ignore[arg-type]
    patches = [
        cosmos_patches.claim(PARTITION, "email", item, claim_id="a", now=now, wake_at=now),
        cosmos_patches.outcome(_outcome(world, chunk, "a", status)),
        cosmos_patches.attempt_only(_outcome(world, chunk, "a", status)),
        cosmos_patches.nudge(Nudge(item.tracking_id, "email", S.SENDING, now, status, now, now)),
        *cosmos_patches.callback_marks(
            item.tracking_id, {f"k{n}": CallbackMark(CallbackState.DELIVERED) for n in range(35)}
        ),
    ]

    assert max(len(patch.operations) for patch in patches) <= MAX_PATCH_OPERATIONS
    assert sum(len(patch.operations) for patch in patches[4:]) == 35


async def test_a_chunk_that_is_claimed_already_is_looked_at_once_instead_of_refused_one_by_one() -> None:
    world = World()
    chunk = await _stored(world, 50)
    await _claim(world, chunk, "a")
    steps = world.steps = world.database.steps = StepsThrough()

    answers = await _claim(world, chunk, "b")

    assert _refusals(answers) == ["held"] * 50
    assert steps.names == ["batch of patch", "query"]


async def test_what_waits_among_claimed_ones_is_claimed_together() -> None:
    world = World()
    chunk = await _stored(world, 50)
    await _claim(world, replace(chunk, items=chunk.items[:20]), "a")
    steps = world.steps = world.database.steps = StepsThrough()

    answers = await _claim(world, chunk, "b")

    assert _refusals(answers) == ["held"] * 20 + ["claimed"] * 30
    assert steps.names == ["batch of patch", "query", "batch of patch"]
