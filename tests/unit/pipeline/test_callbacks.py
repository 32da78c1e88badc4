import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contracts.callback_payload import CallbackBatch
from shared.domain.callback_mark import CallbackMark, CallbackState
from shared.domain.errors import DestinationRefused, InDoubt, PublishFailed, Transient
from shared.domain.notification import Notification
from shared.domain.status import DeliveryStatus
from shared.domain.webhook_signature import sign
from shared.pipeline.callbacks import MAX_BATCH, fire_callbacks, send_callbacks
from shared.pipeline.services import CALLBACKS
from shared.pipeline.submit_batch import submit_batch
from shared.ports import HttpAnswer
from tests.fakes.callback_consumer import SECRET, an_endpoint, marks_of
from tests.fakes.clock import START
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body

S = DeliveryStatus


async def _with_history(world: World, *statuses: DeliveryStatus, count: int = 1) -> list[Notification]:
    await submit_batch(a_batch([a_body(reference=f"item-{n}") for n in range(count)]), CALLER, world.services)
    for document in world.documents.values():
        document["history"] = [
            {"at": "2026-11-24T12:00:00.000Z", "channel": "email", "status": status.value, "attempt": 1}
            for status in statuses
        ]
    return world.notifications


async def _world(*endpoint_ids: str, statuses: tuple[str, ...] = ("SENT", "DELIVERED")) -> World:
    world = World()
    for endpoint_id in endpoint_ids or ("ep1",):
        await world.endpoints.save(an_endpoint(TENANT, endpoint_id, statuses))
    return world


def _queued(world: World) -> list[CallbackBatch]:
    return [CallbackBatch.model_validate_json(message.body) for message in world.publisher.take(CALLBACKS)]


async def _fire_and_send(world: World, *statuses: DeliveryStatus) -> None:
    await fire_callbacks(await _with_history(world, *statuses), world.services)
    for batch in _queued(world):
        await send_callbacks(batch, world.services)


async def test_each_wanted_status_is_queued_once() -> None:
    world = await _world()
    notifications = await _with_history(world, S.RETRYING, S.SENT, S.SENT, S.DELIVERED, S.BOUNCED)

    assert await fire_callbacks(notifications, world.services) == 2

    [batch] = _queued(world)
    assert [item.status for item in batch.items] == ["SENT", "DELIVERED"]
    assert batch.items[0].reference == "item-0"


async def test_what_expired_is_told_as_failed_and_once_with_failed() -> None:
    world = await _world(statuses=("FAILED",))

    assert await fire_callbacks(await _with_history(world, S.EXPIRED, S.FAILED), world.services) == 1
    [batch] = _queued(world)
    assert [item.reason for item in batch.items] == ["expired"]


async def test_an_endpoint_that_wants_everything_hears_every_outcome_and_nothing_else() -> None:
    world = await _world(statuses=("*",))

    await fire_callbacks(
        await _with_history(world, S.QUEUED, S.SENDING, S.SENT, S.BOUNCED, S.CANCELLED), world.services
    )

    [batch] = _queued(world)
    assert [(item.status, item.reason) for item in batch.items] == [
        ("SENT", None),
        ("BOUNCED", None),
        ("FAILED", "cancelled"),
    ]


async def test_a_change_seen_again_queues_nothing_again() -> None:
    world = await _world()
    notifications = await _with_history(world, S.SENT)
    await fire_callbacks(notifications, world.services)

    assert await fire_callbacks(notifications, world.services) == 0
    assert len(world.publisher.published[CALLBACKS]) == 1


async def test_another_process_leaves_out_what_is_marked() -> None:
    world = await _world()
    await _fire_and_send(world, S.SENT)

    assert await fire_callbacks(world.notifications, world.fresh_process()) == 0


async def test_a_batch_fired_twice_before_it_is_marked_is_the_same_message_to_the_broker() -> None:
    world = await _world()
    notifications = await _with_history(world, S.SENT)
    await fire_callbacks(notifications, world.fresh_process())
    await fire_callbacks(notifications, world.fresh_process())

    first, second = world.publisher.published[CALLBACKS]
    assert first.message_id == second.message_id


async def test_without_the_broker_the_feed_shows_it_again() -> None:
    world = await _world()
    notifications = await _with_history(world, S.SENT)
    world.publisher.away = {CALLBACKS}
    with pytest.raises(PublishFailed):
        await fire_callbacks(notifications, world.services)
    world.publisher.away = set()

    assert await fire_callbacks(notifications, world.services) == 1


async def test_endpoints_hear_what_they_asked_for_and_the_disabled_hear_nothing() -> None:
    world = await _world("ep1")
    await world.endpoints.save(an_endpoint(TENANT, "ep2", ("BOUNCED",)))
    await world.endpoints.save(replace(an_endpoint(TENANT, "ep3"), enabled=False))
    await world.endpoints.save(an_endpoint("somebody else", "ep4"))

    await fire_callbacks(await _with_history(world, S.SENT, S.BOUNCED), world.services)

    assert {batch.endpoint_id: [item.status for item in batch.items] for batch in _queued(world)} == {
        "ep1": ["SENT"],
        "ep2": ["BOUNCED"],
    }


async def test_many_callbacks_travel_fifty_to_a_message() -> None:
    world = await _world()

    fired = await fire_callbacks(await _with_history(world, S.SENT, count=70), world.services)

    assert fired == 70
    assert sorted(len(batch.items) for batch in _queued(world)) == [20, MAX_BATCH]


async def test_a_callback_is_posted_signed_and_marked_delivered() -> None:
    world = await _world()
    await _fire_and_send(world, S.SENT)

    [call] = world.callback_client.calls
    [notification] = world.notifications
    assert call.url == "https://consumer.example/ep1"
    assert call.headers["webhook-id"] == f"{notification.tracking_id}.email.SENT"
    assert call.headers["webhook-timestamp"] == str(int(START.timestamp()))
    assert call.headers["webhook-signature"] == sign((SECRET,), call.headers["webhook-id"], START, call.body)
    assert json.loads(call.body) == {
        "type": "notification.sent",
        "timestamp": "2026-11-24T12:00:00.000Z",
        "data": {
            "trackingId": notification.tracking_id,
            "channel": "email",
            "status": "SENT",
            "reference": "item-0",
        },
    }
    assert marks_of(notification) == {"email-SENT-ep1": "delivered"}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (500, "http_500"),
        (404, "http_404"),
        (301, "http_301"),
        (302, "http_302"),
        (307, "http_307"),
        (Transient("no_connection"), "no_connection"),
        (InDoubt("timeout"), "timeout"),
        (DestinationRefused("private"), "destination_refused"),
    ],
)
async def test_anything_but_2xx_is_planned_again(answer: int | Exception, problem: str) -> None:
    world = await _world()
    world.callback_client.answers["https://consumer.example/ep1"] = answer

    await _fire_and_send(world, S.SENT)

    [message] = world.publisher.published[CALLBACKS]
    assert message.due_at == START + timedelta(seconds=5)
    assert CallbackBatch.model_validate_json(message.body).attempt == 2
    assert marks_of(world.notifications[0]) == {"email-SENT-ep1": f"retrying:{problem}"}


async def test_a_consumer_that_never_answers_is_tried_ten_times_over_three_days_under_one_id() -> None:
    world = await _world()
    world.callback_client.answers["https://consumer.example/ep1"] = 503
    await fire_callbacks(await _with_history(world, S.SENT), world.services)
    waits = []

    while messages := world.publisher.take(CALLBACKS):
        [message] = messages
        waits.append(((message.due_at or world.clock.now()) - world.clock.now()).total_seconds())
        world.clock.advance_to(message.due_at or world.clock.now())
        await send_callbacks(CallbackBatch.model_validate_json(message.body), world.services)

    assert waits == [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert len({call.headers["webhook-id"] for call in world.callback_client.calls}) == 1
    assert len({call.headers["webhook-timestamp"] for call in world.callback_client.calls}) == 10
    assert marks_of(world.notifications[0]) == {"email-SENT-ep1": "failed:http_503"}


async def test_only_what_failed_is_planned_again() -> None:
    world = await _world()
    notifications = await _with_history(world, S.SENT, S.DELIVERED)
    await fire_callbacks(notifications, world.services)
    [batch] = _queued(world)

    class FailsOnce:
        async def post(self, url, *, headers, body, timeout):
            world.callback_client.answers[url] = 500 if b'"DELIVERED"' in body else 204
            return await world.callback_client.post(url, headers=headers, body=body, timeout=timeout)

    await send_callbacks(batch, world.with_(callback_client=FailsOnce()))

    [again] = _queued(world)
    assert [item.status for item in again.items] == ["DELIVERED"]
    assert marks_of(world.notifications[0]) == {
        "email-SENT-ep1": "delivered",
        "email-DELIVERED-ep1": "retrying:http_500",
    }


async def test_410_disables_the_endpoint_and_is_not_tried_again() -> None:
    world = await _world()
    world.callback_client.answers["https://consumer.example/ep1"] = 410

    await _fire_and_send(world, S.SENT)

    endpoint = await world.endpoints.read(TENANT, "ep1")
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "gone")
    assert world.publisher.published[CALLBACKS] == []
    assert marks_of(world.notifications[0]) == {"email-SENT-ep1": "failed:gone"}


async def test_one_endpoints_trouble_is_not_anothers() -> None:
    world = await _world("ep1", "ep2")
    world.callback_client.answers["https://consumer.example/ep1"] = 410

    await _fire_and_send(world, S.SENT)

    assert (await world.endpoints.read(TENANT, "ep2")).enabled
    assert marks_of(world.notifications[0])["email-SENT-ep2"] == "delivered"


@pytest.mark.parametrize("state", ["removed", "disabled"])
async def test_callbacks_of_an_endpoint_that_is_no_more_are_not_posted(state: str) -> None:
    world = await _world()
    await fire_callbacks(await _with_history(world, S.SENT), world.services)
    if state == "removed":
        await world.endpoints.delete(TENANT, "ep1")
    else:
        await world.endpoints.save(replace(an_endpoint(TENANT), enabled=False))

    for batch in _queued(world):
        await send_callbacks(batch, world.services)

    assert world.callback_client.calls == []
    # What a disabled one did not hear can be replayed once it is enabled again.
    assert marks_of(world.notifications[0]) == (
        {} if state == "removed" else {"email-SENT-ep1": "failed:endpoint_disabled"}
    )


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("2", 5), ("60", 60), ("999999999", 86_400), ("Tue, 24 Nov 2026 13:00:00 GMT", 3600), ("soon", 5), ("-7", 5)],
)
async def test_retry_after_puts_a_try_off_within_bounds_and_never_hurries_it(wish: str, seconds: int) -> None:
    world = await _world()
    world.callback_client.answers["https://consumer.example/ep1"] = HttpAnswer(503, {"retry-after": wish}, b"")

    await _fire_and_send(world, S.SENT)

    [message] = world.publisher.published[CALLBACKS]
    assert message.due_at == START + timedelta(seconds=seconds)


async def test_a_mark_says_when_how_often_and_with_what_answer() -> None:
    world = await _world("ep1", "ep2", statuses=("SENT",))
    world.callback_client.answers["https://consumer.example/ep1"] = 500

    await _fire_and_send(world, S.SENT)

    assert world.notifications[0].callbacks == {
        "email-SENT-ep1": CallbackMark(
            CallbackState.RETRYING, START, 1, "http_500", 500, 0, START + timedelta(seconds=5)
        ),
        "email-SENT-ep2": CallbackMark(CallbackState.DELIVERED, START, 1, None, 204, 0),
    }


async def test_a_batch_redelivered_after_a_crash_posts_under_the_same_ids() -> None:
    world = await _world()
    await fire_callbacks(await _with_history(world, S.SENT), world.services)
    [batch] = _queued(world)

    await send_callbacks(batch, world.services)
    await send_callbacks(batch, world.fresh_process())

    assert len({call.headers["webhook-id"] for call in world.callback_client.calls}) == 1
    assert marks_of(world.notifications[0]) == {"email-SENT-ep1": "delivered"}


async def test_more_than_ten_marks_on_one_notification_are_all_written() -> None:
    world = await _world(*(f"ep{n}" for n in range(12)))

    await _fire_and_send(world, S.SENT, S.DELIVERED)

    assert len(marks_of(world.notifications[0])) == 24
