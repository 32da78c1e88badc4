"""Several devices, FCM in place of the hub, Slack and WhatsApp: through the whole service to the sandbox and back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.end_to_end.conftest import DATA, Client, Stack, eventually, to

pytestmark = pytest.mark.end_to_end
ORDER = {"id": "order-confirmation", "locale": "en"}


def push(*tokens: str, **more: Any) -> dict[str, Any]:
    devices = [{"platform": "apns" if token.startswith("apns") else "fcm", "token": token} for token in tokens]
    content = {"push": {"title": "Your order", "body": "It is here."}}
    return {"recipient": {"deviceTokens": devices}, "channels": ["push"], "content": content} | more


@pytest.fixture
async def ill_hub(client: Client) -> AsyncIterator[None]:
    """The hub refuses everybody while the test runs."""
    faults = f"{client.stack.sandbox}/faults"
    await client.call("POST", faults, json={"provider": "notification_hubs", "mode": "401"})
    yield
    await client.call("DELETE", f"{faults}?provider=notification_hubs")


async def test_each_device_is_reached_on_its_own_and_only_what_failed_is_tried_again(client: Client) -> None:
    tracking_id = await client.accepted(push("phone-1", "gone-tablet", "temporary-failure-watch", "phone-1"))

    view = await client.view_when(tracking_id, "sent", "delivered")

    calls = await client.provider_calls(tracking_id)
    taken = [call["recipient"] for call in calls if call["accepted"]]
    assert sorted(call["recipient"] for call in calls).count("gone-tablet") == 1
    assert taken.count("phone-1") == 1
    assert len({call["attemptId"] for call in calls}) == len(calls)
    first = view["deliveries"][0]["attempts"][0]["targets"]
    assert [target["outcome"] for target in first] == ["sent", "rejected", "transient"]
    assert first[1]["reason"] == "device_unregistered"


async def test_fcm_stands_in_for_the_hub_and_its_receipts_come_back(client: Client, ill_hub: None) -> None:
    tracking_id = await client.accepted(push("phone-a", "phone-b"))

    view = await client.view_when(tracking_id, "delivered")

    delivery = view["deliveries"][0]
    assert delivery["provider"] == "fcm"
    calls = await client.provider_calls(tracking_id)
    assert sorted(call["recipient"] for call in calls if call["accepted"]) == ["phone-a", "phone-b"]
    assert {call["provider"] for call in calls if call["accepted"]} == {"fcm"}


async def test_registered_devices_are_reached_by_the_customers_tag(client: Client) -> None:
    body = push() | {"recipient": {"customerId": "cust_tagged", "registeredDevices": True}}

    tracking_id = await client.accepted(body)
    await client.view_when(tracking_id, "delivered")

    calls = await client.provider_calls(tracking_id)
    assert [call["recipient"] for call in calls] == ["cust_tagged"] * 2
    assert len({call["attemptId"] for call in calls}) == 2


async def test_slack_is_delivered_when_it_is_taken(client: Client, stack: Stack) -> None:
    tracking_id = await client.accepted(to("slack", stack, "anna"))

    await client.view_when(tracking_id, "delivered")

    [call] = await client.provider_calls(tracking_id)
    assert (call["provider"], call["recipient"], call["accepted"]) == ("slack", "anna", True)


async def test_a_slack_webhook_that_is_gone_fails_for_good(client: Client, stack: Stack) -> None:
    tracking_id = await client.accepted(to("slack", stack, "gone"))

    view = await client.view_when(tracking_id, "failed")

    assert view["deliveries"][0]["reason"] == "gone"
    assert len(await client.provider_calls(tracking_id)) == 1


async def test_a_url_that_is_not_slacks_is_refused_at_accept(client: Client) -> None:
    body = {
        "recipient": {"slackWebhookUrl": "https://evil.example/services/T0/B0/x"},
        "channels": ["slack"],
        "template": ORDER,
        "data": DATA,
    }

    answer = await client.submit(body)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/recipient/slackWebhookUrl"


async def test_whatsapp_is_delivered_and_being_read_changes_nothing(client: Client) -> None:
    body = {
        "recipient": {"phone": "+15005550117"},
        "channels": ["whatsapp"],
        "template": ORDER,
        "data": DATA,
    }

    tracking_id = await client.accepted(body)
    await client.view_when(tracking_id, "delivered")

    async def read() -> bool:
        shown = await client.call("GET", f"{client.stack.sandbox}/messages.json?channel=whatsapp&recipient=0117")
        steps = shown.json["messages"][0]["history"]
        return [(step["step"], step["receiptTaken"]) for step in steps][-1] == ("opened", True)

    await eventually(read, 10, "the service takes the receipt that it was read")
    assert (await client.view(tracking_id))["status"] == "delivered"


async def test_outside_whatsapps_window_a_text_bounces_with_the_reason(client: Client) -> None:
    content = {"whatsapp": {"text": "Hello"}}
    body = {"recipient": {"phone": "+15005550118"}, "channels": ["whatsapp"], "content": content}

    view = await client.view_when(await client.accepted(body), "bounced")

    assert view["deliveries"][0]["reason"] == "template_required"
