from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.chunk import Chunk
from shared.domain.errors import InDoubt, PublishFailed, StoreUnavailable, Throttled, Transient
from shared.domain.identifiers import PartitionKey
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.recover import SWEEP_LIMIT, sweep
from shared.pipeline.services import DEAD_LETTERS, SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, World, a_batch, a_body, a_request


def _published(world: World) -> list[tuple[str, int]]:
    return [
        (chunk.channel, item.attempt)
        for message in world.publisher.take(SUBMITTED)
        for chunk in [NotificationSubmitted.model_validate_json(message.body).to_chunk()]
        for item in chunk.items
    ]


async def _lost(world: World, **fields: Any) -> Chunk:
    """An accepted notification whose message nobody ever got."""
    await world.submit(a_request(**fields))
    [message] = world.publisher.take(SUBMITTED)
    return NotificationSubmitted.model_validate_json(message.body).to_chunk()


async def _claimed_by_the_dead(world: World, **fields: Any) -> Chunk:
    chunk = await _lost(world, **fields)
    wake_at = world.clock.now() + world.services.patience.claim
    await world.services.notifications.claim(
        chunk.partition_key, "email", chunk.items, claim_id="dead", wake_at=wake_at
    )
    return chunk


async def _sweep_after(world: World, wait: timedelta) -> int:
    world.clock.advance(wait + timedelta(milliseconds=1))
    return await sweep(world.services)


async def test_nothing_is_moved_before_its_time() -> None:
    world = World()
    await _lost(world)

    assert await sweep(world.services) == 0
    assert _published(world) == []


async def test_what_was_never_published_is_published_and_looked_after_again() -> None:
    world = World()
    await _lost(world)

    assert await _sweep_after(world, world.patience.publish) == 1

    delivery = world.delivery()
    assert _published(world) == [("email", 1)]
    assert delivery.status is DeliveryStatus.QUEUED
    assert delivery.wake_at == world.clock.now() + world.patience.publish
    assert world.notifications[0].history == ()


async def test_each_further_sweep_waits_twice_as_long_up_to_half_an_hour() -> None:
    world = World()
    await _lost(world)
    waits = []

    for _ in range(8):
        world.clock.advance_to(world.delivery().wake_at or world.clock.now())
        assert await sweep(world.services) == 1
        waits.append(((world.delivery().wake_at or world.clock.now()) - world.clock.now()).total_seconds())

    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]


async def test_a_scheduled_delivery_whose_message_was_lost_is_published_after_its_time() -> None:
    world = World()
    await _lost(world, sendAt="2026-11-24T13:00:00Z")

    assert await _sweep_after(world, timedelta(minutes=60)) == 0
    assert await _sweep_after(world, world.patience.publish) == 1

    assert _published(world) == [("email", 1)]


async def test_a_forgotten_retry_is_published_as_the_next_attempt() -> None:
    world = World()
    world.email.script = [Transient("http_503")]
    await deliver(await _lost(world), world.services)

    assert await _sweep_after(world, timedelta(seconds=2) + world.patience.retry) == 1

    assert _published(world) == [("email", 2)]
    assert world.delivery().status is DeliveryStatus.RETRYING


async def test_a_dead_claim_holders_delivery_is_in_doubt() -> None:
    world = World()
    await _claimed_by_the_dead(world)

    assert await _sweep_after(world, world.patience.claim) == 1

    delivery = world.delivery()
    assert (delivery.status, delivery.was_in_doubt, delivery.reason) == (
        DeliveryStatus.IN_DOUBT, True, "claim_holder_lost",
    )  # fmt: skip
    assert delivery.wake_at == world.clock.now() + world.patience.in_doubt
    assert _published(world) == []


@pytest.mark.parametrize(
    ("category", "status", "published", "reason"),
    [
        ("security", DeliveryStatus.RETRYING, [("email", 2)], "resent_in_doubt"),
        ("transactional", DeliveryStatus.RETRYING, [("email", 2)], "resent_in_doubt"),
        ("marketing", DeliveryStatus.FAILED, [], "dropped_in_doubt"),
    ],
)
async def test_doubt_that_no_receipt_settled_is_decided_by_the_category(
    category: str, status: DeliveryStatus, published: list[tuple[str, int]], reason: str
) -> None:
    world = World()
    world.email.script = [InDoubt("timeout")]
    await deliver(await _lost(world, category=category), world.services)

    assert await _sweep_after(world, world.patience.in_doubt) == 1

    delivery = world.delivery()
    assert (delivery.status, delivery.reason, _published(world)) == (status, reason, published)
    assert (delivery.wake_at is None) == (status is DeliveryStatus.FAILED)
    assert delivery.was_in_doubt


def test_a_delivery_that_is_always_in_doubt_is_given_up_with_a_dead_letter() -> None:
    async def scene() -> None:
        world = World()
        world.email.otherwise = InDoubt("timeout")
        await world.submit()

        await RealWorld(world, receipts=None).quiesce()

        assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.FAILED, "attempts_exhausted")
        assert len(world.email.ledger) == 6
        assert len(world.publisher.published[DEAD_LETTERS]) == 1

    run_virtually(scene())


def test_attempts_that_were_only_paced_do_not_count_against_a_delivery_in_doubt() -> None:
    async def scene() -> None:
        world = World()
        world.email.script = [*[Throttled("http_429")] * 8, InDoubt("timeout")]
        await world.submit()

        await RealWorld(world, receipts=None).quiesce()

        assert world.delivery().status is DeliveryStatus.SENT

    run_virtually(scene())


async def test_without_the_broker_nothing_counts_as_swept() -> None:
    world = World()
    await _lost(world)
    world.publisher.away = {"*"}
    world.clock.advance(61)

    with pytest.raises(PublishFailed):
        await sweep(world.services)
    before = world.delivery()
    world.publisher.away = set()

    assert (before.sweeps, await sweep(world.services)) == (0, 1)


async def test_a_dead_letter_that_could_not_be_published_is_published_by_the_next_sweep() -> None:
    world = World()
    chunk = await _lost(world)
    world.email.otherwise = Transient("http_503")
    for attempt in range(1, 6):
        await deliver(replace(chunk, items=(replace(chunk.items[0], attempt=attempt),)), world.services)
    world.email.otherwise = InDoubt("timeout")
    await deliver(replace(chunk, items=(replace(chunk.items[0], attempt=6),)), world.services)
    world.publisher.away = {DEAD_LETTERS}
    with pytest.raises(PublishFailed):
        await _sweep_after(world, world.patience.in_doubt)

    world.publisher.away = set()
    await sweep(world.services)

    assert world.delivery().status is DeliveryStatus.FAILED
    assert len(world.publisher.published[DEAD_LETTERS]) == 1


async def test_a_sweeper_that_comes_second_moves_nothing() -> None:
    world = World()
    await _claimed_by_the_dead(world)
    world.clock.advance(46)
    seen = await world.services.notifications.overdue(world.clock.now(), 10)
    await sweep(world.services)

    class Stale(type(world.services.notifications)):  # type: ignore[misc]
        async def overdue(self, *_: object) -> Any:
            return seen

    assert await sweep(world.with_(notifications=Stale(world.database, world.clock, world.keyring))) == 0
    assert len(world.notifications[0].history) == 1


async def test_a_receipt_that_comes_first_leaves_nothing_to_sweep() -> None:
    world = World()
    await _claimed_by_the_dead(world)
    document = next(iter(world.documents.values()))
    document["deliveries"]["email"] |= {"status": "delivered", "wakeAt": None}

    assert await _sweep_after(world, world.patience.claim) == 0


async def test_many_lost_ones_are_published_in_chunks_round_by_round() -> None:
    world = World()
    world.publisher.away = {"*"}
    for _ in range(2):
        await submit_batch(a_batch([a_body()] * 400), CALLER, world.services)
    world.publisher.away = set()

    moved = await _sweep_after(world, world.patience.publish)

    assert moved == 800 > SWEEP_LIMIT
    messages = world.publisher.published[SUBMITTED]
    assert len(messages) <= 24
    assert len(_published(world)) == 800


async def test_without_the_store_the_sweep_fails_and_the_next_one_goes_on() -> None:
    world = World()
    await _lost(world)
    world.clock.advance(61)
    world.database.away = True
    with pytest.raises(StoreUnavailable):
        await sweep(world.services)

    world.database.away = False

    assert await sweep(world.services) == 1


async def test_each_channel_of_a_notification_is_swept_on_its_own() -> None:
    world = World()
    recipient = {"email": "a@example.com", "phone": "+4915112345678"}
    content = {"email": {"subject": "s", "text": "t"}, "sms": {"text": "t"}}
    await world.submit(a_request(recipient=recipient, channels=["email", "sms"], content=content))
    messages = world.publisher.take(SUBMITTED)
    [email] = [
        chunk
        for message in messages
        for chunk in [NotificationSubmitted.model_validate_json(message.body).to_chunk()]
        if chunk.channel == "email"
    ]
    await deliver(email, world.services)

    assert await _sweep_after(world, world.patience.publish) == 1

    assert _published(world) == [("sms", 1)]
    assert PartitionKey(email.partition_key)


async def test_a_channel_that_lost_its_providers_is_swept_like_any_other() -> None:
    world = World()
    await world.submit()
    world.publisher.take(SUBMITTED)
    world.clock.advance(61)

    moved = await sweep(world.with_(providers={}))

    assert moved == 1
    assert len(world.publisher.take(SUBMITTED)) == 1
