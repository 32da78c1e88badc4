"""Callbacks while the store is away: posted once, written down when it is back."""

import asyncio

from shared.contracts.callback_payload import CallbackBatch, CallbackItem
from shared.pipeline.callbacks import send_callbacks
from shared.pipeline.submit import submit
from tests.fakes.callback_consumer import an_endpoint, marks_of
from tests.fakes.clock import START
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, NoWaiter, World, a_request


async def _batch(world: World) -> CallbackBatch:
    await world.endpoints.save(an_endpoint(TENANT, "ep1", ("SENT",)))
    await submit(a_request(), CALLER, world.services, NoWaiter())
    [notification] = world.notifications
    item = CallbackItem(tracking_id=notification.tracking_id, channel="email", status="SENT", at=START)
    return CallbackBatch(tenant_id=TENANT, partition_key=notification.partition_key, endpoint_id="ep1", items=[item])


def test_a_store_that_is_away_after_the_post_is_waited_for_without_posting_again() -> None:
    async def outage() -> World:
        world = World()
        batch = await _batch(world)
        world.database.away = True

        async def come_back() -> None:
            await asyncio.sleep(12)
            world.database.away = False

        await asyncio.gather(send_callbacks(batch, world.services), come_back())
        return world

    world = run_virtually(outage())

    [notification] = world.notifications
    assert marks_of(notification) == {"email-SENT-ep1": "delivered"}
    assert len(world.callback_client.calls) == 1
