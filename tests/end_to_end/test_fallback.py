"""Channels in turn, on the running service: a push that fails or is not confirmed is followed by an SMS."""

from typing import Any

import pytest

from tests.end_to_end.conftest import DATA, Client, eventually

pytestmark = pytest.mark.end_to_end


def in_turn(device: str, **routing: Any) -> dict[str, Any]:
    """A request for a push to ``device``, then an SMS."""
    return {
        "recipient": {"deviceTokens": [{"platform": "fcm", "token": device}], "phone": "+4915112345678"},
        "routing": {"strategy": "fallback", "order": ["push", "sms"]} | routing,
        "template": {"id": "order-confirmation", "locale": "de"},
        "data": DATA,
    }


async def _channels_called(client: Client, tracking_id: str) -> list[str]:
    return [call["channel"] for call in await client.provider_calls(tracking_id)]


def _statuses(view: dict[str, Any]) -> dict[str, str]:
    return {delivery["channel"]: delivery["status"] for delivery in view["deliveries"]}


async def test_a_push_that_is_refused_is_followed_by_an_sms_at_once(client: Client) -> None:
    tracking_id = await client.accepted(in_turn("gone"))

    view = await client.view_when(tracking_id, "delivered", within=15)

    assert _statuses(view) == {"push": "failed", "sms": "delivered"}
    assert await _channels_called(client, tracking_id) == ["push", "sms"]


async def test_a_push_that_is_confirmed_needs_no_sms(client: Client) -> None:
    tracking_id = await client.accepted(in_turn("fallback-not-needed"))

    async def stood_down() -> bool:
        return _statuses(await client.view(tracking_id)) == {"push": "delivered", "sms": "suppressed"}

    await eventually(stood_down, 15, "the SMS stands down")

    assert await _channels_called(client, tracking_id) == ["push"]


async def test_a_push_that_nobody_confirms_is_followed_by_an_sms_after_its_deadline(client: Client) -> None:
    tracking_id = await client.accepted(in_turn("never-delivered", deadlineSeconds=2))

    view = await client.view_when(tracking_id, "delivered", within=30)

    assert _statuses(view) == {"push": "sent", "sms": "delivered"}
    assert [entry["reason"] for entry in view["history"] if entry["status"] == "queued"] == ["deadline_passed"]


async def test_whoever_waits_hears_of_the_notification_as_a_whole(client: Client) -> None:
    answer = await client.submit(in_turn("gone"), Prefer="wait=20")

    assert answer.status == 200, answer
    assert _statuses(answer.json)["push"] == "failed"
    assert _statuses(answer.json)["sms"] in {"sent", "delivered"}
