from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from shared.contracts.events import NotificationStatus, NotificationSubmitted, StatusItem
from shared.domain.chunk import Chunk
from shared.domain.errors import InDoubt, NotFound, StoreUnavailable
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.recover import sweep
from shared.pipeline.services import SUBMITTED
from shared.pipeline.track import track
from tests.fakes.clock import START
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World

S = DeliveryStatus


async def _queued(world: World) -> Chunk:
    await world.submit()
    [message] = world.publisher.take(SUBMITTED)
    return NotificationSubmitted.model_validate_json(message.body).to_chunk()


def _event(chunk: Chunk, *statuses: DeliveryStatus, channel: str = "email", skew: int = 0) -> NotificationStatus:
    return NotificationStatus(
        tenant_id=chunk.tenant_id,
        occurred_at=START,
        partition_key=chunk.partition_key,
        channel=channel,
        recorded=False,
        items=[
            StatusItem(
                tracking_id=chunk.items[0].tracking_id,
                status=status,
                attempt=1,
                provider="fake-email",
                reason="why",
                timestamp=START + timedelta(minutes=skew),
            )
            for status in statuses
        ],
    )


async def test_a_receipt_moves_the_delivery_and_shows_in_its_history() -> None:
    world = World()
    chunk = await _queued(world)
    await deliver(chunk, world.services)

    await track(_event(chunk, S.DELIVERED), world.services)

    assert world.delivery().status is S.DELIVERED
    assert [entry.status for entry in world.notifications[0].history] == [S.SENT, S.DELIVERED]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(permutations([S.SENT, S.DELIVERED, S.BOUNCED, S.FAILED])))
async def test_every_order_of_receipts_with_duplicates_and_skewed_clocks_ends_the_same(
    order: tuple[DeliveryStatus, ...], together: bool
) -> None:
    world = World()
    chunk = await _queued(world)
    await deliver(chunk, world.services)

    if together:
        await track(_event(chunk, *order, *order), world.services)
    else:
        for number, status in enumerate(order):
            await track(_event(chunk, status, skew=(-10, 10)[number % 2]), world.services)
            await track(_event(chunk, status), world.services)

    history = [entry.status for entry in world.notifications[0].history]
    assert world.delivery().status is S.BOUNCED
    assert len(history) == len(set(history))
    ranks = [(S.SENT, S.FAILED, S.DELIVERED, S.BOUNCED).index(status) for status in history]
    assert ranks == sorted(ranks)


async def test_a_receipt_settles_a_delivery_that_the_worker_never_recorded() -> None:
    world = World()
    chunk = await _queued(world)
    await world.services.notifications.claim(chunk.partition_key, "email", chunk.items, claim_id="x", wake_at=START)

    await track(_event(chunk, S.DELIVERED), world.services)

    assert (world.delivery().status, world.delivery().wake_at) == (S.DELIVERED, None)


async def test_an_answer_that_comes_after_the_receipt_adds_its_sent_and_changes_nothing_else() -> None:
    world = World()
    chunk = await _queued(world)
    await track(_event(chunk, S.DELIVERED), world.services)
    document = next(iter(world.documents.values()))
    document["deliveries"]["email"]["status"] = "queued"  # as if the receipt had come while the call was under way
    real = world.services.notifications

    class ReceiptFirst(type(real)):  # type: ignore[misc]
        async def record_outcomes(self, partition, outcomes):
            await track(_event(chunk, S.DELIVERED), world.services)
            await real.record_outcomes(partition, outcomes)

    world.with_(notifications=ReceiptFirst(world.database, world.clock, world.keyring))
    await deliver(chunk, world.services)

    delivery = world.delivery()
    assert (delivery.status, delivery.wake_at, delivery.provider_message_id) == (S.DELIVERED, None, "message-1")
    assert delivery.attempts[0].outcome == "sent"
    assert S.SENT in {entry.status for entry in world.notifications[0].history}


async def _sent_again_in_doubt(world: World) -> Chunk:
    """A delivery whose first attempt is in doubt and whose second is sent."""
    world.email.script = [InDoubt("timeout")]
    chunk = await _queued(world)
    await deliver(chunk, world.services)
    world.clock.advance(61)
    await sweep(world.services)
    await deliver(replace(chunk, items=(replace(chunk.items[0], attempt=2),)), world.services)
    assert (world.delivery().status, world.delivery().attempt) == (S.SENT, 2)
    return chunk


@pytest.mark.parametrize("bad_news", [S.FAILED, S.BOUNCED])
async def test_bad_news_about_an_attempt_that_was_made_again_changes_nothing(bad_news: DeliveryStatus) -> None:
    world = World()
    chunk = await _sent_again_in_doubt(world)

    await track(_event(chunk, bad_news), world.services)

    assert world.delivery().status is S.SENT


async def test_good_news_about_an_attempt_that_was_made_again_counts() -> None:
    world = World()
    chunk = await _sent_again_in_doubt(world)

    await track(_event(chunk, S.DELIVERED), world.services)

    assert world.delivery().status is S.DELIVERED


async def test_a_receipt_for_a_notification_not_stored_yet_comes_back() -> None:
    world = World()
    chunk = await _queued(world)
    world.documents.clear()

    with pytest.raises(NotFound):
        await track(_event(chunk, S.DELIVERED), world.services)


@pytest.mark.parametrize("channel", ["pigeon", "email.status in ('queued') or true --", "email'"])
async def test_a_channel_nobody_knows_never_reaches_the_store(channel: str) -> None:
    world = World()
    chunk = await _queued(world)

    with pytest.raises(NotFound):
        await track(_event(chunk, S.DELIVERED, channel=channel), world.services)

    assert world.delivery().status is S.QUEUED


async def test_a_receipt_for_a_channel_the_notification_does_not_have_changes_nothing() -> None:
    world = World()
    chunk = await _queued(world)

    await track(_event(chunk, S.DELIVERED, channel="sms"), world.services)

    assert set(world.notifications[0].deliveries) == {"email"}


def test_without_the_store_the_event_comes_back() -> None:
    async def scene() -> None:
        world = World()
        chunk = await _queued(world)
        world.database.away = True
        with pytest.raises(StoreUnavailable):
            await track(_event(chunk, S.DELIVERED), world.services)

    run_virtually(scene())
