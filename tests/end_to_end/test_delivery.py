"""A notification's way from submit to its callback, and what happens when a provider does not play along."""

import asyncio
import base64
import hashlib
import hmac
import statistics
import time
from typing import Any

import pytest

from tests.end_to_end.conftest import Client, Stack, email, eventually, to

pytestmark = pytest.mark.end_to_end
CHANNELS = ["email", "sms", "push", "webhook"]


@pytest.mark.parametrize("channel", CHANNELS)
async def test_each_channel_is_delivered_with_one_provider_call(client: Client, stack: Stack, channel: str) -> None:
    tracking_id = await client.accepted(to(channel, stack))

    view = await client.view_when(tracking_id, "delivered")

    assert [delivery["channel"] for delivery in view["deliveries"]] == [channel]
    assert len(await client.provider_calls(tracking_id)) == 1
    assert [entry["status"] for entry in view["history"]][-1] == "delivered"


async def test_several_channels_of_one_notification_are_each_delivered(client: Client, stack: Stack) -> None:
    recipient = {}
    for channel in CHANNELS:
        recipient |= to(channel, stack)["recipient"]
    tracking_id = await client.accepted(to("email", stack) | {"recipient": recipient, "channels": CHANNELS})

    async def all_delivered() -> bool:
        view = await client.view(tracking_id)
        return all(delivery["status"] == "delivered" for delivery in view["deliveries"])

    await eventually(all_delivered, 20, "all four channels delivered")

    assert len(await client.provider_calls(tracking_id)) == 4


async def test_registered_endpoint_gets_each_wanted_status_once_and_signed(client: Client, stack: Stack) -> None:
    inbox = f"{stack.sandbox}/callbacks/endtoend"
    wanted = {"url": inbox, "statuses": ["SENT", "DELIVERED"]}
    registered = (await client.call("POST", "/callback-endpoints", json=wanted)).json
    tracking_id = await client.accepted(email(reference="order 17"))

    async def both() -> list[dict[str, object]] | None:
        got = (await client.call("GET", inbox)).json
        callbacks = got if isinstance(got, list) else got["callbacks"]
        mine = [each for each in callbacks if tracking_id in each["body"]]
        return mine if len(mine) == 2 else None

    callbacks = await eventually(both, 20, "two callbacks")
    await client.call("DELETE", f"/callback-endpoints/{registered['id']}")

    assert {each["headers"]["webhook-id"] for each in callbacks} == {
        f"{tracking_id}.email.SENT",
        f"{tracking_id}.email.DELIVERED",
    }
    assert all('"reference":"order 17"' in each["body"] for each in callbacks)
    assert all(_is_signed(each, registered["secret"]) for each in callbacks)


def _is_signed(callback: dict, secret: str) -> bool:
    headers = callback["headers"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{callback['body']}".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")


async def test_temporary_failure_is_retried_until_it_succeeds(client: Client) -> None:
    tracking_id = await client.accepted(email("temporary-failure-2@example.com"))

    view = await client.view_when(tracking_id, "delivered", within=30)

    outcomes = [attempt["outcome"] for attempt in view["deliveries"][0]["attempts"]]
    assert outcomes == ["transient", "transient", "sent"]
    assert len({call["attemptId"] for call in await client.provider_calls(tracking_id)}) == 3


async def test_permanent_rejection_fails_at_once_with_the_reason(client: Client) -> None:
    tracking_id = await client.accepted(email("reject@example.com"))

    view = await client.view_when(tracking_id, "failed")

    assert len(view["deliveries"][0]["attempts"]) == 1
    assert view["deliveries"][0]["reason"]


async def test_bounce_after_acceptance_ends_as_bounced(client: Client) -> None:
    tracking_id = await client.accepted(email("bounce@example.com"))

    view = await client.view_when(tracking_id, "bounced")

    assert [entry["status"] for entry in view["history"]] == ["sent", "bounced"]


async def test_delivery_that_never_succeeds_ends_as_dead_letter(client: Client, stack: Stack) -> None:
    body = to("push", stack, "unavailable") | {"reference": "gives up"}
    tracking_id = await client.accepted(body)

    view = await client.view_when(tracking_id, "failed", within=60)
    letter = await eventually(lambda: _letter_of(client, tracking_id), 10, "the dead letter is filed")

    assert view["deliveries"][0]["reason"] == "attempts_exhausted"
    made_by = [attempt["provider"] for attempt in view["deliveries"][0]["attempts"]]
    assert made_by == ["notification_hubs"] * 4 + ["fcm"] * 4
    assert (letter["tag"], letter["reason"], letter["channel"]) == ("exhausted", "attempts_exhausted", "push")
    story = (await client.call("GET", letter["links"]["self"].removeprefix("/api/v1"))).json
    assert [attempt["outcome"] for attempt in story["attempts"]] == ["transient"] * 8


async def _letter_of(client: Client, tracking_id: str) -> dict[str, Any] | None:
    letters = (await client.call("GET", "/dead-letters")).json["letters"]
    return next((letter for letter in letters if letter.get("trackingId") == tracking_id), None)


async def test_waiting_consumer_gets_the_outcome_in_under_a_second(client: Client) -> None:
    seconds = []
    for _ in range(20):
        started = time.monotonic()
        answer = await client.submit(email(), Prefer="wait=5")
        seconds.append(time.monotonic() - started)
        assert answer.status == 200, answer
        assert answer.json["status"] in {"sent", "delivered"}

    assert statistics.quantiles(seconds, n=20)[18] < 1


async def test_waiting_consumer_hears_of_a_rejection_too(client: Client) -> None:
    answer = await client.submit(email("reject@example.com"), Prefer="wait=5")

    assert (answer.status, answer.json["status"]) == (200, "failed")


async def test_provider_that_hangs_turns_waiting_into_202_when_the_time_is_up(client: Client) -> None:
    started = time.monotonic()

    answer = await client.submit(email("hang@example.com"), Prefer="wait=5")

    assert answer.status == 202
    assert 4.9 < time.monotonic() - started < 6.5
    assert answer.headers["Location"].endswith(answer.json["trackingId"])


async def test_lost_answer_is_in_doubt_and_is_said_so(client: Client) -> None:
    tracking_id = await client.accepted(email("reset-after-accept@example.com"))

    view = await client.view_when(tracking_id, "delivered")

    assert view["deliveries"][0]["inDoubt"] is True
    assert len(await client.provider_calls(tracking_id)) == 1


async def test_batch_of_a_thousand_is_accepted_and_each_item_called_once(client: Client) -> None:
    items = [email(f"user{number}@example.com") for number in range(1000)]

    answer = await client.call("POST", "/notifications/batch", json={"notifications": items})

    assert (answer.status, answer.json["accepted"], answer.json["rejected"]) == (202, 1000, 0)
    ids = [item["trackingId"] for item in answer.json["items"]]
    assert len(set(ids)) == 1000
    views = await asyncio.gather(*(client.view_when(each, "sent", "delivered", within=60) for each in ids[::50]))
    assert len(views) == 20
    assert len(await client.provider_calls(ids[-1])) == 1
