"""Corner cases that were found wrong once, each from the outside of its use case."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.cosmos_notifications import CosmosNotificationStore
from shared.contracts.callback_payload import CallbackBatch, CallbackItem
from shared.contracts.stored_documents import KEPT_SECONDS
from shared.domain.errors import InvalidSubmission, NotFound
from shared.domain.identifiers import TrackingId
from shared.domain.outcome import StatusChange
from shared.domain.status import DeliveryStatus
from shared.pipeline import endpoint_health
from shared.pipeline.callback_endpoints import read_endpoint, remove_endpoint
from shared.pipeline.callbacks import BATCHES_PER_ENDPOINT, send_callbacks
from shared.pipeline.services import CALLBACKS
from shared.pipeline.submit import submit
from tests.fakes.callback_consumer import an_endpoint
from tests.fakes.clock import START
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, NoWaiter, World, a_request


async def test_notification_for_a_far_day_is_kept_until_then_and_as_long_as_others_after_it() -> None:
    world = World()
    await submit(a_request(sendAt=(START + timedelta(days=120)).isoformat()), CALLER, world.services, NoWaiter())

    [document] = world.documents.values()
    assert document["ttl"] == timedelta(days=120).total_seconds() + KEPT_SECONDS


async def test_repeat_under_the_same_key_is_answered_though_the_request_would_be_refused_by_now() -> None:
    world = World()
    request = a_request("key-1", expiresAt=(START + timedelta(seconds=4)).isoformat())
    first = await submit(request, CALLER, world.services, NoWaiter())
    world.clock.advance(10)

    second = await submit(request, CALLER, world.services, NoWaiter())

    assert (second.replayed, second.tracking_id) == (True, first.tracking_id)
    with pytest.raises(InvalidSubmission):
        await submit(replace(request, idempotency_key="key-2"), CALLER, world.services, NoWaiter())


async def test_null_is_no_value_for_a_required_placeholder() -> None:
    world = World()
    request = a_request(template={"id": "order-confirmation"}, content=None, data={"orderId": None, "orderTotal": "1"})

    with pytest.raises(InvalidSubmission) as refused:
        await submit(request, CALLER, world.services, NoWaiter())

    assert [error.pointer for error in refused.value.errors] == ["/data/orderId"]


@pytest.mark.parametrize("endpoint_id", ["..", "../..", "a/b", "..%2F..", "ep1?x=1", "EP1", "", "ep1\n"])
async def test_endpoint_id_that_is_none_of_ours_never_reaches_the_store(endpoint_id: str) -> None:
    world = World()

    with pytest.raises(NotFound):
        await read_endpoint(endpoint_id, CALLER, world.services)
    with pytest.raises(NotFound):
        await remove_endpoint(endpoint_id, CALLER, world.services)


async def test_receipts_of_others_are_recorded_though_one_is_about_an_unknown_notification() -> None:
    world = World()
    await submit(a_request(), CALLER, world.services, NoWaiter())
    [known] = world.notifications
    store = CosmosNotificationStore(world.database, world.clock, world.keyring)
    changes = [
        StatusChange(TrackingId(tracking_id), "email", status, 1, START)
        for tracking_id, status in (
            (known.tracking_id[:-1] + ("0" if known.tracking_id[-1] != "0" else "1"), DeliveryStatus.DELIVERED),
            (known.tracking_id, DeliveryStatus.SENT),
            (known.tracking_id, DeliveryStatus.DELIVERED),
        )
    ]

    with pytest.raises(NotFound):
        await store.record_changes(known.partition_key, changes)

    assert world.delivery().status is DeliveryStatus.DELIVERED


def _batch(endpoint_id: str = "ep1") -> CallbackBatch:
    item = CallbackItem(tracking_id="01M86PTPG0FM4ZR32P5GKMSV2T", channel="email", status="SENT", at=START)
    return CallbackBatch(tenant_id=TENANT, partition_key=f"{TENANT}:0001", endpoint_id=endpoint_id, items=[item])


async def test_endpoint_that_is_changed_while_its_410_is_on_the_way_stays_as_its_consumer_wants_it() -> None:
    world = World()
    await world.endpoints.save(an_endpoint(TENANT, "ep1"))
    as_it_was_posted_to = await world.endpoints.read(TENANT, "ep1")
    await world.endpoints.save(replace(as_it_was_posted_to, url="https://consumer.example/moved"))

    await endpoint_health.disable(as_it_was_posted_to, "gone", world.services)

    assert (await world.endpoints.read(TENANT, "ep1")).enabled


def test_slow_endpoint_gets_its_share_of_the_process_and_the_rest_waits_on_the_bus() -> None:
    async def crowd() -> World:
        world = World()
        await world.endpoints.save(an_endpoint(TENANT, "ep1"))
        await world.endpoints.save(an_endpoint(TENANT, "ep2"))
        world.services.busy_endpoints["ep1"] = BATCHES_PER_ENDPOINT
        await asyncio.gather(
            send_callbacks(_batch("ep1"), world.services), send_callbacks(_batch("ep2"), world.services)
        )
        return world

    world = run_virtually(crowd())

    assert [call.url for call in world.callback_client.calls] == ["https://consumer.example/ep2"]
    [message] = world.publisher.take(CALLBACKS)
    again = CallbackBatch.model_validate_json(message.body)
    assert (again.endpoint_id, again.attempt, again.deferrals) == ("ep1", 1, 1)
    assert message.message_id != _batch("ep1").to_message().message_id  # or the broker would drop it as a duplicate
    assert message.due_at is not None
