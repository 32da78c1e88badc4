"""Messages that come twice, too early or too late, and a store or broker that is away while one is worked on."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.chunk import ChunkItem
from shared.domain.errors import (
    PublishFailed,
    StoreUnavailable,
    Transient,
)
from shared.domain.identifiers import TrackingId, new_tracking_id
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.services import STATUS, Patience
from tests.fakes.accepted_chunks import accept, accept_together, attempt_of, told
from tests.fakes.steps import Fault, FaultsAt
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World


def test_a_slow_item_does_not_keep_the_others_from_being_recorded() -> None:
    async def scene() -> None:
        world = World()
        chunk = await accept_together(world, 3)
        world.email.delays = {chunk.items[0].tracking_id: 10}
        seen = []
        real = world.services.notifications

        class Watched(type(real)):  # type: ignore[misc]
            async def record_outcomes(self, partition: Any, outcomes: Any) -> None:
                seen.append(len(outcomes))
                await real.record_outcomes(partition, outcomes)

        await deliver(chunk, world.with_(notifications=Watched(world.database, world.clock, world.keyring)))

        assert seen == [2, 1]
        assert len(world.publisher.published[STATUS]) == 2

    run_virtually(scene())


def test_a_broker_outage_does_not_stop_the_calls_under_way() -> None:
    async def scene() -> None:
        world = World()
        chunk = await accept_together(world, 3)
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
    chunk = await accept_together(world, 2)
    await deliver(replace(chunk, items=chunk.items[:1]), world.services)
    world.publisher.away = {STATUS}

    with pytest.raises(PublishFailed):
        await deliver(chunk, world.services)

    assert {n.deliveries["email"].status for n in world.notifications} == {DeliveryStatus.SENT}


async def test_a_duplicate_message_sends_nothing_and_says_again_what_came_of_it() -> None:
    world = World()
    chunk = await accept(world)
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
    chunk = await accept(world)
    await deliver(chunk, world.services)
    second = attempt_of(chunk, 2)
    await deliver(second, world.services)
    world.publisher.take(STATUS)

    await deliver(chunk, world.services)

    assert len(world.email.ledger) == 2
    assert told(world) == []


async def test_a_claim_that_somebody_holds_is_left_to_them() -> None:
    world = World()
    chunk = await accept(world)
    await world.services.notifications.claim(
        chunk.partition_key, "email", chunk.items, claim_id="somebody", wake_at=world.clock.now()
    )

    await deliver(chunk, world.services)

    assert world.email.ledger == []
    assert world.delivery().status is DeliveryStatus.SENDING
    assert world.publisher.published[STATUS] == []


async def test_an_attempt_that_is_too_early_is_not_made() -> None:
    world = World()
    chunk = await accept(world)
    early = attempt_of(chunk, 3)

    await deliver(early, world.services)

    assert world.email.ledger == []
    assert world.delivery().status is DeliveryStatus.QUEUED


async def test_a_notification_nobody_knows_is_passed_over_and_its_neighbours_are_sent() -> None:
    world = World()
    chunk = await accept(world)
    ghost = ChunkItem(TrackingId(new_tracking_id(world.clock.now(), 1)))
    both = replace(chunk, items=(ghost, *chunk.items))

    await deliver(both, world.services)

    assert world.delivery().status is DeliveryStatus.SENT


async def test_an_item_named_twice_in_a_chunk_is_sent_once() -> None:
    world = World()
    chunk = await accept(world)

    await deliver(replace(chunk, items=chunk.items * 2), world.services)

    assert len(world.email.ledger) == 1


def test_a_store_that_is_away_for_a_while_is_waited_for() -> None:
    async def scene() -> None:
        world = World()
        chunk = await accept(world)
        world.watch(FaultsAt({0: Fault.LOST_BEFORE, 1: Fault.LOST_BEFORE, 4: Fault.LOST_BEFORE, 5: Fault.LOST_BEFORE}))

        await deliver(chunk, world.services)

        assert world.delivery().status is DeliveryStatus.SENT
        assert len(world.email.ledger) == 1

    run_virtually(scene())


def test_a_store_that_stays_away_sends_the_message_back_before_anything_was_sent() -> None:
    async def scene() -> None:
        world = World()
        chunk = await accept(world)
        world.database.away = True

        with pytest.raises(StoreUnavailable):
            await deliver(chunk, world.services)

        assert world.email.ledger == []

    run_virtually(scene())


async def test_a_claim_whose_answer_was_lost_is_still_ours() -> None:
    world = World(patience=Patience(store=timedelta(seconds=1)))
    chunk = await accept(world)
    world.watch(FaultsAt({0: Fault.LOST_AFTER}))

    await deliver(chunk, world.services)

    assert (world.delivery().status, len(world.email.ledger)) == (DeliveryStatus.SENT, 1)


async def test_a_worker_without_the_channels_provider_claims_nothing() -> None:
    world = World()
    chunk = await accept(world)
    del world.providers["email"]

    with pytest.raises(KeyError):
        await deliver(chunk, world.fresh_process())

    assert world.delivery().status is DeliveryStatus.QUEUED
