import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import (
    InDoubt,
    Misconfigured,
    PublishFailed,
    Rejected,
    StoreUnavailable,
    TemplateUnusable,
    Throttled,
    Transient,
)
from shared.domain.identifiers import TrackingId, new_tracking_id
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.services import DEAD_LETTERS, STATUS, SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from shared.ports import Accepted
from tests.fakes.steps import Fault, FaultsAt
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, CALLER, World, a_batch, a_body, a_request


async def _accepted(world: World, **fields: Any) -> Chunk:
    await world.submit(a_request(**fields))
    return _taken(world)


async def _accepted_together(world: World, count: int) -> Chunk:
    await submit_batch(a_batch([a_body(reference=f"item-{n}") for n in range(count)]), CALLER, world.services)
    return _taken(world)


def _taken(world: World) -> Chunk:
    [message] = world.publisher.take(SUBMITTED)
    return NotificationSubmitted.model_validate_json(message.body).to_chunk()


def _attempt_of(chunk: Chunk, number: int) -> Chunk:
    return replace(chunk, items=(ChunkItem(chunk.items[0].tracking_id, number),))


def _told(world: World) -> list[tuple[str, int]]:
    return [
        (item.status.value, item.attempt)
        for message in world.publisher.take(STATUS)
        for item in NotificationStatus.model_validate_json(message.body).items
    ]


async def test_what_the_provider_takes_is_sent_recorded_and_announced() -> None:
    world = World()
    chunk = await _accepted(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    [sent] = world.email.ledger
    assert (sent.channel, sent.address.mailbox, sent.content.subject) == ("email", ADDRESS, "Your order")  # type: ignore[union-attr]
    assert (delivery.status, delivery.wake_at) == (DeliveryStatus.SENT, None)
    assert (delivery.provider, delivery.provider_message_id) == ("fake-email", "message-1")
    assert delivery.attempts[0].id == sent.attempt_id
    assert [(entry.status.value, entry.provider) for entry in world.notifications[0].history] == [
        ("sent", "fake-email")
    ]
    assert _told(world) == [("sent", 1)]


async def test_a_template_is_rendered_with_the_pinned_version_and_the_notifications_data() -> None:
    world = World()
    found = await world.services.templates.find(CALLER.tenant_id, "welcome-new-user", None)
    assert found is not None
    chunk = await _accepted(
        world,
        template={"id": "welcome-new-user", "locale": "de"},
        content=None,
        data=dict.fromkeys(found.required, "Ada"),
    )

    await deliver(chunk, world.services)

    [sent] = world.email.ledger
    assert "Ada" in (sent.content.html or "")  # type: ignore[union-attr]
    assert "\n" not in sent.content.subject  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [Transient("http_503"), Throttled("http_429"), Misconfigured("bad_key")])
async def test_what_may_pass_is_announced_with_the_time_of_the_next_attempt(error: Exception) -> None:
    world = World()
    world.email.script = [error]
    chunk = await _accepted(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    [message] = world.publisher.published[STATUS]
    [item] = NotificationStatus.model_validate_json(message.body).items
    assert (delivery.status, item.status) == (DeliveryStatus.RETRYING, DeliveryStatus.RETRYING)
    assert delivery.due_at is not None
    assert item.due_at is not None
    assert abs(delivery.due_at - item.due_at) < timedelta(milliseconds=1)
    assert world.clock.now() < delivery.due_at < delivery.wake_at  # type: ignore[operator]
    assert message.properties["retrying"] is True


async def test_what_the_provider_rejects_fails_with_its_reason_and_without_a_dead_letter() -> None:
    world = World()
    world.email.script = [Rejected("no_such_user")]
    chunk = await _accepted(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    assert (delivery.status, delivery.reason, delivery.wake_at) == (DeliveryStatus.FAILED, "no_such_user", None)
    assert world.publisher.published[DEAD_LETTERS] == []
    assert _told(world) == [("failed", 1)]


async def test_what_is_given_up_goes_to_the_dead_letters_with_its_history_and_without_address_or_content() -> None:
    world = World()
    world.email.otherwise = Transient("http_503")
    chunk = await _accepted(world, data={"secret": "4711"})
    for attempt in range(1, 7):
        again = Chunk(
            chunk.tenant_id, chunk.partition_key, "email", chunk.lane, (ChunkItem(chunk.items[0].tracking_id, attempt),)
        )
        await deliver(again, world.services)

    [letter] = world.publisher.published[DEAD_LETTERS]
    story = json.loads(letter.body)
    assert world.delivery().status is DeliveryStatus.FAILED
    assert world.delivery().reason == "attempts_exhausted"
    assert [attempt["number"] for attempt in story["attempts"]] == [1, 2, 3, 4, 5, 6]
    assert [attempt["outcome"] for attempt in story["attempts"]] == ["transient"] * 6
    assert [attempt["reason"] for attempt in story["attempts"]] == ["http_503"] * 6
    for secret in (ADDRESS, "4711", "on its way", "Your order"):
        assert secret.encode() not in letter.body


@pytest.mark.parametrize(
    "fault",
    [InDoubt("timeout"), ValueError("garbage"), KeyError("x"), RuntimeError(), TimeoutError(), AssertionError()],
)
async def test_an_answer_nobody_understands_leaves_the_delivery_in_doubt_and_is_not_repeated(fault: Exception) -> None:
    world = World()
    world.email.script = [fault]
    chunk = await _accepted(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    assert (delivery.status, delivery.was_in_doubt, delivery.due_at) == (DeliveryStatus.IN_DOUBT, True, None)
    assert delivery.wake_at == world.clock.now() + world.services.patience.in_doubt
    assert len(world.email.ledger) == 1


async def test_what_is_too_late_is_not_sent() -> None:
    world = World()
    chunk = await _accepted(world, expiresAt="2026-11-24T12:01:00Z")
    world.clock.advance(60)

    await deliver(chunk, world.services)

    assert (world.delivery().status, world.delivery().wake_at) == (DeliveryStatus.EXPIRED, None)
    assert world.email.ledger == []
    assert _told(world) == [("expired", 1)]


async def test_a_template_that_does_not_fit_its_data_is_rejected_before_anything_is_sent() -> None:
    world = World()
    found = await world.services.templates.find(CALLER.tenant_id, "welcome-new-user", None)
    assert found is not None

    class Unusable:
        def render(self, *_: object) -> Any:
            raise TemplateUnusable("UndefinedError")

    chunk = await _accepted(
        world, template={"id": "welcome-new-user"}, content=None, data=dict.fromkeys(found.required, "x")
    )
    await deliver(chunk, world.with_(renderer=Unusable()))

    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.FAILED, "template_unusable")
    assert world.email.ledger == []


async def test_a_template_that_is_away_for_now_is_tried_again() -> None:
    world = World()
    found = await world.services.templates.find(CALLER.tenant_id, "welcome-new-user", None)
    assert found is not None

    class Empty:
        async def find(self, *_: object) -> None:
            return None

    chunk = await _accepted(
        world, template={"id": "welcome-new-user"}, content=None, data=dict.fromkeys(found.required, "x")
    )
    await deliver(chunk, world.with_(templates=Empty()))

    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.RETRYING, "template_not_found")


async def test_a_chunk_of_fifty_is_claimed_and_recorded_in_one_call_each() -> None:
    world = World()
    chunk = await _accepted_together(world, 50)
    steps = FaultsAt({})
    world.watch(steps)

    await deliver(chunk, world.services)

    assert steps.names.count("batch of patch") == 2
    assert steps.names.count("provider call") == 50
    assert {n.deliveries["email"].status for n in world.notifications} == {DeliveryStatus.SENT}
    assert len(world.publisher.published[STATUS]) == 1


def test_a_slow_item_does_not_keep_the_others_from_being_recorded() -> None:
    async def scene() -> None:
        world = World()
        chunk = await _accepted_together(world, 3)
        world.email.delays = {chunk.items[0].tracking_id: 10}
        seen = []
        real = world.services.notifications

        class Watched(type(real)):  # type: ignore[misc]
            async def record_outcomes(self, partition: Any, outcomes: Any) -> None:
                seen.append(len(outcomes))
                await real.record_outcomes(partition, outcomes)

        await deliver(chunk, world.with_(notifications=Watched(world.database, world.clock)))

        assert seen == [2, 1]
        assert len(world.publisher.published[STATUS]) == 2

    run_virtually(scene())


def test_a_broker_outage_does_not_stop_the_calls_under_way() -> None:
    async def scene() -> None:
        world = World()
        chunk = await _accepted_together(world, 3)
        slow = chunk.items[0].tracking_id
        world.email.delays = {slow: 10}
        world.publisher.away = {STATUS}

        with pytest.raises(PublishFailed):
            await deliver(chunk, world.services)

        assert world.email.cancelled == []
        assert {n.deliveries["email"].status for n in world.notifications} == {DeliveryStatus.SENT}

    run_virtually(scene())


async def test_what_is_claimed_is_sent_though_what_an_earlier_copy_did_can_not_be_announced() -> None:
    world = World()
    chunk = await _accepted_together(world, 2)
    await deliver(replace(chunk, items=chunk.items[:1]), world.services)
    world.publisher.away = {STATUS}

    with pytest.raises(PublishFailed):
        await deliver(chunk, world.services)

    assert {n.deliveries["email"].status for n in world.notifications} == {DeliveryStatus.SENT}


async def test_a_duplicate_message_sends_nothing_and_says_again_what_came_of_it() -> None:
    world = World()
    chunk = await _accepted(world)
    await deliver(chunk, world.services)
    first = world.publisher.take(STATUS)

    await deliver(chunk, world.services)

    assert len(world.email.ledger) == 1
    [again] = world.publisher.published[STATUS]
    assert again.message_id == first[0].message_id
    assert json.loads(again.body)["items"] == json.loads(first[0].body)["items"]


async def test_a_duplicate_of_an_earlier_attempts_message_says_nothing() -> None:
    world = World()
    world.email.script = [Transient("http_503")]
    chunk = await _accepted(world)
    await deliver(chunk, world.services)
    second = Chunk(
        chunk.tenant_id, chunk.partition_key, "email", chunk.lane, (ChunkItem(chunk.items[0].tracking_id, 2),)
    )
    await deliver(second, world.services)
    world.publisher.take(STATUS)

    await deliver(chunk, world.services)

    assert len(world.email.ledger) == 2
    assert _told(world) == []


async def test_a_claim_that_somebody_holds_is_left_to_them() -> None:
    world = World()
    chunk = await _accepted(world)
    await world.services.notifications.claim(
        chunk.partition_key, "email", chunk.items, claim_id="somebody", wake_at=world.clock.now()
    )

    await deliver(chunk, world.services)

    assert world.email.ledger == []
    assert world.delivery().status is DeliveryStatus.SENDING
    assert world.publisher.published[STATUS] == []


async def test_an_attempt_that_is_too_early_is_not_made() -> None:
    world = World()
    chunk = await _accepted(world)
    early = Chunk(
        chunk.tenant_id, chunk.partition_key, "email", chunk.lane, (ChunkItem(chunk.items[0].tracking_id, 3),)
    )

    await deliver(early, world.services)

    assert world.email.ledger == []
    assert world.delivery().status is DeliveryStatus.QUEUED


async def test_a_notification_nobody_knows_is_passed_over_and_its_neighbours_are_sent() -> None:
    world = World()
    chunk = await _accepted(world)
    ghost = ChunkItem(TrackingId(new_tracking_id(world.clock.now(), 1)))
    both = replace(chunk, items=(ghost, *chunk.items))

    await deliver(both, world.services)

    assert world.delivery().status is DeliveryStatus.SENT


async def test_an_item_named_twice_in_a_chunk_is_sent_once() -> None:
    world = World()
    chunk = await _accepted(world)

    await deliver(replace(chunk, items=chunk.items * 2), world.services)

    assert len(world.email.ledger) == 1


def test_a_store_that_is_away_for_a_while_is_waited_for() -> None:
    async def scene() -> None:
        world = World()
        chunk = await _accepted(world)
        world.watch(FaultsAt({0: Fault.LOST_BEFORE, 1: Fault.LOST_BEFORE, 4: Fault.LOST_BEFORE, 5: Fault.LOST_BEFORE}))

        await deliver(chunk, world.services)

        assert world.delivery().status is DeliveryStatus.SENT
        assert len(world.email.ledger) == 1

    run_virtually(scene())


def test_a_store_that_stays_away_sends_the_message_back_before_anything_was_sent() -> None:
    async def scene() -> None:
        world = World()
        chunk = await _accepted(world)
        world.database.away = True

        with pytest.raises(StoreUnavailable):
            await deliver(chunk, world.services)

        assert world.email.ledger == []

    run_virtually(scene())


async def test_a_claim_whose_answer_was_lost_is_still_ours() -> None:
    world = World(patience=World().patience.__class__(store=timedelta(seconds=1)))
    chunk = await _accepted(world)
    world.watch(FaultsAt({0: Fault.LOST_AFTER}))

    await deliver(chunk, world.services)

    assert (world.delivery().status, len(world.email.ledger)) == (DeliveryStatus.SENT, 1)


async def test_an_awaited_notification_wakes_whoever_waits() -> None:
    world = World()
    chunk = await _accepted(world, wait=10)

    await deliver(chunk, world.services)

    [message] = world.publisher.published[STATUS]
    assert message.properties["awaited"] is True


async def test_an_answer_that_is_the_delivery_ends_it() -> None:
    world = World()
    world.email.otherwise = Accepted(delivered=True)
    chunk = await _accepted(world)

    await deliver(chunk, world.services)

    assert world.delivery().status is DeliveryStatus.DELIVERED
