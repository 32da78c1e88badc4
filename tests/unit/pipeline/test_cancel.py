"""A consumer takes a notification back: what is not sent is not sent, and nothing is told that is not so."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.domain.errors import InDoubt, NotFound, StoreUnavailable, Transient
from shared.domain.receipt import ReceiptKind
from shared.domain.status import DeliveryStatus, outward
from shared.pipeline.cancel import cancel_notification
from shared.pipeline.deliver import deliver
from shared.pipeline.services import STATUS, SUBMITTED
from shared.ports import Caller
from tests.fakes.callback_consumer import an_endpoint
from tests.fakes.channels_in_turn import CONTENT, RECIPIENT, in_turn
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, Fault, FaultsAt
from tests.fakes.turn_taking import TurnTaking, every_order
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, World, a_request

S = DeliveryStatus
EACH = {"channels": ["email", "sms"], "recipient": RECIPIENT, "content": CONTENT}
LATER = {"sendAt": "2026-11-24T13:00:00Z"}


def _cancelled(view: Any) -> dict[str, tuple[str, str | None]]:
    return {each.channel: (each.status, each.cancellation) for each in view.deliveries}


def _calls(world: World) -> list[str]:
    return [sent.channel for provider in world.providers.values() for sent in provider.ledger]


async def _submitted(world: World, **request: Any) -> str:
    return (await world.submit(a_request("order-1", **request))).tracking_id


@pytest.mark.parametrize("request_", [{}, EACH, LATER, in_turn("push", "sms", "email", deadline=60)])
def test_what_nobody_has_sent_is_never_sent(request_: dict[str, Any]) -> None:
    world = World()

    async def scene() -> Any:
        tracking_id = await _submitted(world, **request_)
        view = await cancel_notification(tracking_id, CALLER, world.services)
        await RealWorld(world).quiesce()
        return view

    view = run_virtually(scene())

    assert set(_cancelled(view).values()) == {("cancelled", "cancelled")}
    assert (view.status, view.cancelled_at) == ("cancelled", world.notifications[0].cancelled_at)
    assert _calls(world) == []
    assert all(each.wake_at is None for each in world.notifications[0].deliveries.values())


def test_what_was_sent_is_too_late_and_the_channel_on_standby_is_not() -> None:
    world = World()
    around = RealWorld(world, {})

    async def scene() -> Any:
        tracking_id = await _submitted(world, **in_turn("push", "sms", deadline=600))
        await around.live_for(world.patience.publish)
        view = await cancel_notification(tracking_id, CALLER, world.services)
        await around.quiesce()
        return view

    view = run_virtually(scene())

    assert _cancelled(view) == {"push": ("sent", "too_late"), "sms": ("cancelled", "cancelled")}
    assert view.status == "sent"
    assert _calls(world) == ["push"]


def test_a_retry_that_is_planned_does_not_happen() -> None:
    world = World()
    world.email.otherwise = Transient("http_503")
    around = RealWorld(world)

    async def scene() -> Any:
        tracking_id = await _submitted(world)
        [message] = world.publisher.take(SUBMITTED)
        await around.redeliver(message)
        view = await cancel_notification(tracking_id, CALLER, world.services)
        await around.quiesce()
        return view

    view = run_virtually(scene())

    assert _cancelled(view) == {"email": ("cancelled", "cancelled")}
    assert len(world.email.ledger) == 1


def test_what_is_in_doubt_is_too_late_and_is_not_sent_again() -> None:
    world = World()
    world.email.otherwise = InDoubt("timeout")
    around = RealWorld(world)

    async def scene() -> Any:
        tracking_id = await _submitted(world, category="security")
        [message] = world.publisher.take(SUBMITTED)
        await around.redeliver(message)
        view = await cancel_notification(tracking_id, CALLER, world.services)
        await around.quiesce()
        return view

    view = run_virtually(scene())

    assert _cancelled(view) == {"email": ("in_doubt", "too_late")}
    assert (world.delivery().status, world.delivery().reason) == (S.FAILED, "dropped_in_doubt")
    assert len(world.email.ledger) == 1


def test_a_late_receipt_about_what_was_cancelled_is_believed() -> None:
    world = World()
    world.email.otherwise = Transient("http_503")
    around = RealWorld(world)

    async def scene() -> None:
        tracking_id = await _submitted(world)
        [message] = world.publisher.take(SUBMITTED)
        await around.redeliver(message)
        await cancel_notification(tracking_id, CALLER, world.services)
        world.email.accepted.append(world.email.ledger[0])  # it had got through all the same
        around.receipts = ReceiptKind.DELIVERED
        await around.quiesce()

    run_virtually(scene())

    assert world.delivery().status is S.DELIVERED


async def test_it_may_be_cancelled_again_with_the_same_answer() -> None:
    world = World()
    tracking_id = await _submitted(world, **EACH)

    first = await cancel_notification(tracking_id, CALLER, world.services)
    world.clock.advance(60)
    again = await cancel_notification(tracking_id, CALLER, world.services)

    assert again == first
    assert len(world.notifications[0].history) == 2


@pytest.mark.parametrize("tracking_id", ["01M86PTPG0FM4ZR32P5GKMSV2T", "x", "", "key-1"])
async def test_what_is_not_there_cant_be_cancelled(tracking_id: str) -> None:
    with pytest.raises(NotFound):
        await cancel_notification(tracking_id, CALLER, World().services)


async def test_another_tenants_notification_is_not_there() -> None:
    world = World()
    tracking_id = await _submitted(world)
    stranger = Caller(CALLER.tenant_id.__class__("bank"), "bank", CALLER.roles)

    with pytest.raises(NotFound):
        await cancel_notification(tracking_id, stranger, world.services)

    assert world.delivery().status is S.QUEUED


async def test_while_the_store_is_away_nothing_is_cancelled() -> None:
    world = World()
    tracking_id = await _submitted(world)
    world.database.away = True

    with pytest.raises(StoreUnavailable):
        await cancel_notification(tracking_id, CALLER, world.services)

    world.database.away = False
    assert world.delivery().status is S.QUEUED


async def test_whoever_waits_hears_that_it_was_cancelled() -> None:
    world = World()
    tracking_id = (await world.submit(a_request(wait=10, **EACH))).tracking_id

    await cancel_notification(tracking_id, CALLER, world.services)

    told = [(message.properties["awaited"], NotificationStatus.model_validate_json(message.body)) for message in
            world.publisher.take(STATUS)]  # fmt: skip
    assert {(awaited, event.channel, event.items[0].status) for awaited, event in told} == {
        (True, "email", S.CANCELLED), (True, "sms", S.CANCELLED),
    }  # fmt: skip


async def test_that_nobody_can_be_told_is_no_failure() -> None:
    world = World()
    tracking_id = (await world.submit(a_request(wait=10))).tracking_id
    world.publisher.away = {"*"}

    view = await cancel_notification(tracking_id, CALLER, world.services)

    assert view.status == "cancelled"


def test_the_consumer_is_called_about_it_as_a_failure_with_its_reason() -> None:
    world = World()

    async def scene() -> None:
        await world.endpoints.save(an_endpoint(TENANT, statuses=("FAILED",)))
        await cancel_notification(await _submitted(world), CALLER, world.services)
        await RealWorld(world).quiesce()

    run_virtually(scene())

    [entry] = world.notifications[0].history
    assert (outward(entry.status, entry.reason), entry.reason) == ("FAILED", "cancelled")
    [message] = world.publisher.published["callbacks"]
    assert b'"reason":"cancelled"' in message.body


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("request_", [EACH, in_turn("push", "sms")])
def test_a_failure_at_any_step_cancels_all_of_it_or_nothing(fault: Fault, request_: dict[str, Any]) -> None:
    """A consumer who does not try again; whether it counts as cancelled is whether the mark was made."""

    async def live(faults: dict[int, Fault]) -> tuple[World, int]:
        world = World()
        around = RealWorld(world)
        tracking_id = await _submitted(world, **request_)
        steps = FaultsAt(faults)
        world.watch(steps)
        try:
            await cancel_notification(tracking_id, CALLER, world.services)
        except StoreUnavailable:
            pass
        except Crash:
            world.restart()
        await around.quiesce()
        return world, len(steps.names)

    _, count = run_virtually(live({}))
    for index in range(count):
        world, _ = run_virtually(live({index: fault}))
        [notification] = world.notifications
        ends = {each.status for each in notification.deliveries.values()}
        assert (ends == {S.CANCELLED}) == (notification.cancelled_at is not None), index
        assert (_calls(world) == []) == (notification.cancelled_at is not None), index


def test_a_worker_and_a_consumer_who_cancels_agree_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        world, turns = World(), TurnTaking(choices)
        world.email.script = [Transient("http_503")]
        tracking_id = await _submitted(world)
        [message] = world.publisher.take(SUBMITTED)
        chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
        worker, door = world.fresh_process(), world.fresh_process()
        world.watch(turns)
        told = {}

        async def cancel() -> None:
            told["view"] = await cancel_notification(tracking_id, CALLER, door)

        await turns.conduct({"worker": lambda: deliver(chunk, worker), "consumer": cancel})
        await RealWorld(world).quiesce()
        assert world.delivery().status is S.CANCELLED, turns.names
        assert len(world.email.ledger) <= 1, turns.names
        [(_, cancellation)] = _cancelled(told["view"]).values()
        assert cancellation == "too_late" or len(world.email.ledger) <= 1, turns.names
        return turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 10
