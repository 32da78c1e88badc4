import json
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import azure.functions as func
import pytest

from functions import (
    callback_endpoints,
    callbacks,
    changes,
    health,
    notifications,
    orchestrations,
    receipts,
    recover,
    submit,
    track,
)
from shared.channels import CHANNELS
from shared.contracts.events import BusMessage
from shared.domain.errors import ReceiptNotAuthentic
from shared.domain.notification import Lane
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import CALLBACKS, DEAD_LETTERS, STATUS, SUBMITTED
from tests.fakes.callback_consumer import an_endpoint
from tests.fakes.registered_functions import registered_functions
from tests.fakes.world import TENANT, World, a_body
from tests.unit.functions.conftest import trigger

BODY = json.dumps(a_body()).encode()
_DURABLE_CLIENT = '{"taskHubName": "cns", "creationUrls": {}, "managementUrls": {}, "rpcBaseUrl": ""}'


class Message:
    """A Service Bus message as the binding hands it over, as far as the app reads it."""

    def __init__(self, message: BusMessage | bytes) -> None:
        self._body = message if isinstance(message, bytes) else message.body

    def get_body(self) -> bytes:
        return self._body


def _function(name: str) -> Callable[..., Awaitable[Any]]:
    return registered_functions()[name].get_user_function()


async def _submit(call: Any, body: bytes = BODY, **arguments: Any) -> func.HttpResponse:
    return await call(submit.submit_notification, body, starter="{}", **arguments)


async def test_a_notification_is_accepted_with_its_address(world: World, call: Any) -> None:
    answer = await _submit(call)

    tracking_id = json.loads(answer.get_body())["trackingId"]
    assert (answer.status_code, answer.mimetype) == (202, "application/json")
    assert answer.headers["Location"] == f"/api/v1/notifications/{tracking_id}"
    assert "Idempotency-Replayed" not in answer.headers


async def test_a_replayed_answer_says_so(world: World, call: Any) -> None:
    first = await _submit(call, headers={"Idempotency-Key": "k"})

    again = await _submit(call, headers={"Idempotency-Key": "k"})

    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.get_body()) == (202, first.get_body())


async def test_without_the_store_the_answer_is_503(world: World, call: Any) -> None:
    world.database.away = True

    answer = await _submit(call)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert (await call(health.ready, token=None)).status_code == 503
    assert (await call(health.live, token=None)).status_code == 200


@pytest.mark.parametrize(("items", "status"), [([a_body()], 202), ([a_body(), {}], 207)])
async def test_a_batch_says_whether_some_items_are_refused(world: World, call: Any, items: Any, status: int) -> None:
    answer = await call(submit.submit_notification_batch, json.dumps({"notifications": items}).encode())

    assert answer.status_code == status


async def test_a_batchs_replay_says_so(world: World, call: Any) -> None:
    body = json.dumps({"notifications": [a_body()]}).encode()
    await call(submit.submit_notification_batch, body, headers={"idempotency-key": "k"})

    again = await call(submit.submit_notification_batch, body, headers={"idempotency-key": "k"})

    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_status_is_read_by_its_consumer_only(world: World, call: Any) -> None:
    tracking_id = json.loads((await _submit(call)).get_body())["trackingId"]
    route = {"trackingId": tracking_id}

    mine = await call(notifications.read_notification, route=route)
    other = await call(notifications.read_notification, route=route, token="Bearer bank/Notifications.Read")
    missing = await call(
        notifications.read_notification, route={"trackingId": "x"}, token="Bearer bank/Notifications.Read"
    )

    assert (mine.status_code, json.loads(mine.get_body())["trackingId"]) == (200, tracking_id)
    assert (other.status_code, other.get_body()) == (404, missing.get_body())


@pytest.mark.parametrize(("channel", "lane"), list(product(CHANNELS, Lane)))
def test_every_channel_and_lane_has_its_own_function_and_subscription(channel: str, lane: Lane) -> None:
    found = registered_functions()[f"deliver_{channel}_{lane.value}"]
    [binding] = found.get_bindings()

    assert (binding.topic_name, binding.subscription_name) == (SUBMITTED, f"{channel}-{lane.value}")


async def test_a_message_is_delivered(world: World, call: Any) -> None:
    await _submit(call)
    [message] = world.publisher.take(SUBMITTED)

    await _function("deliver_email_normal")(Message(message))

    assert world.delivery().status is DeliveryStatus.SENT


@pytest.mark.parametrize("name", ["deliver_email_high", "track_status", "send_callbacks", "retries", "waiters"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"schemaVersion": 99}'])
async def test_a_message_nobody_can_read_is_a_dead_letter_and_does_not_come_back(
    world: World, name: str, body: bytes
) -> None:
    durable = {"retries": "continue_retries", "waiters": "wake_waiters"}
    if name in durable:
        await trigger(getattr(orchestrations, durable[name]))(Message(body), client=_DURABLE_CLIENT)
    else:
        await _function(name)(Message(body))

    assert [letter.properties["tag"] for letter in world.publisher.take(DEAD_LETTERS)] == ["poison"]


async def test_a_receipt_reaches_the_delivery(world: World, call: Any) -> None:
    await _submit(call)
    [message] = world.publisher.take(SUBMITTED)
    await _function("deliver_email_normal")(Message(message))
    world.publisher.take(STATUS)
    [attempt] = world.email.attempt_ids
    world.email.receipts = [Receipt(attempt, ReceiptKind.DELIVERED, world.clock.now(), "delivered")]

    answer = await call(receipts.receive_receipts, b"[]", token=None, route={"provider": "fake-email"}, url="/r?a=b")
    [event] = world.publisher.take(STATUS)
    await trigger(track.track_status)(Message(event))

    assert answer.status_code == 204
    assert world.delivery().status is DeliveryStatus.DELIVERED


async def test_the_signature_covers_path_query_and_raw_body(world: World, call: Any) -> None:
    seen = []

    class Source:
        def verify(self, request: Any, now: Any) -> None:
            seen.append(request)
            raise ReceiptNotAuthentic("x")

    world.with_(receipt_sources={"p": Source()})
    answer = await call(
        receipts.receive_receipts, b'{"a" : 1}', token=None, route={"provider": "p"}, url="/api/v1/receipts/p?x=%20y",
        headers={"X-Signature": "s"},
    )  # fmt: skip

    assert answer.status_code == 401
    assert (seen[0].path_and_query, seen[0].body) == ("/api/v1/receipts/p?x=%20y", b'{"a" : 1}')
    assert seen[0].headers["x-signature"] == "s"


@pytest.mark.parametrize("away", [True, False])
async def test_a_provider_hears_whether_its_receipt_was_taken(world: World, call: Any, away: bool) -> None:
    world.email.receipts = [
        Receipt("shop.01M86PTPG0FM4ZR32P5GKMSV2T.email.1", ReceiptKind.SENT, world.clock.now(), "x")
    ]
    world.publisher.away = {"*"} if away else set()

    answer = await call(receipts.receive_receipts, token=None, route={"provider": "fake-email"})

    assert answer.status_code == (503 if away else 204)


async def test_the_change_feed_fires_callbacks_that_are_then_posted(world: World, call: Any) -> None:
    await world.endpoints.save(an_endpoint(TENANT))
    await _submit(call, headers={"Idempotency-Key": "k"})
    [message] = world.publisher.take(SUBMITTED)
    await _function("deliver_email_normal")(Message(message))

    documents = func.DocumentList([func.Document.from_dict(document) for document in world.documents.values()])
    await trigger(changes.follow_changes)(documents, "{}")
    [batch] = world.publisher.take(CALLBACKS)
    await trigger(callbacks.send_callbacks)(Message(batch))

    assert len(documents) == 2
    assert [json.loads(each.body)["data"]["status"] for each in world.callback_client.calls] == ["SENT"]


async def test_the_timer_sweeps(world: World, call: Any) -> None:
    world.publisher.away = {"*"}
    await _submit(call)
    world.publisher.away = set()
    world.clock.advance(61)

    await trigger(recover.sweep)(None)

    assert len(world.publisher.published[SUBMITTED]) == 1


async def test_an_endpoint_lives_from_registration_to_removal(world: World, call: Any) -> None:
    body = json.dumps({"url": "https://c.example", "statuses": ["SENT"]}).encode()
    created = await call(callback_endpoints.register_callback_endpoint, body)
    endpoint = json.loads(created.get_body())
    route = {"id": endpoint["id"]}

    replaced = await call(callback_endpoints.replace_callback_endpoint, body, route=route)
    listed = await call(callback_endpoints.list_callback_endpoints)
    removed = await call(callback_endpoints.remove_callback_endpoint, route=route)
    read = await call(callback_endpoints.read_callback_endpoint, route=route)

    assert (created.status_code, created.headers["Location"]) == (201, f"/api/v1/callback-endpoints/{endpoint['id']}")
    assert endpoint["secret"].startswith("whsec_")
    assert (replaced.status_code, removed.status_code, read.status_code) == (200, 204, 404)
    assert [each["id"] for each in json.loads(listed.get_body())["endpoints"]] == [endpoint["id"]]
    assert endpoint["secret"].encode() not in listed.get_body() + replaced.get_body()


async def test_a_notification_is_cancelled_by_who_may_send(world: World, call: Any) -> None:
    tracking_id = json.loads((await _submit(call)).get_body())["trackingId"]
    route = {"trackingId": tracking_id}

    refused = await call(notifications.cancel_notification, token="Bearer shop/Notifications.Read", route=route)
    answer = await call(notifications.cancel_notification, route=route)

    assert refused.status_code == 403
    assert answer.status_code == 200
    assert json.loads(answer.get_body())["deliveries"][0]["cancellation"] == "cancelled"
    assert (await call(notifications.cancel_notification, route={"trackingId": "x"})).status_code == 404
