"""What the broker itself gives up on: forwarded by its dead-letter queues, filed, and put back by a replay."""

import json
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from tests.end_to_end.conftest import Client, Stack, email, eventually

pytestmark = pytest.mark.end_to_end


async def test_a_message_that_fails_ten_times_is_filed_and_can_be_put_back(client: Client, stack: Stack) -> None:
    tracking_id = await client.accepted(email())
    view = await client.view_when(tracking_id, "delivered", "sent")
    await _publish(stack, _status_about_nothing(view["deliveries"][0]["attempts"][0]["id"], tracking_id))

    letter = await eventually(lambda: _letter(client), 30, "the broker's dead letter is filed")
    ordered = await client.call(
        "POST", "/dead-letters/replays", json={"filter": {"tag": "unprocessed"}, "tenant": "_bus"}
    )
    told = await eventually(lambda: _completed(client, ordered.json["id"]), 30, "the replay is over")

    assert (letter["entity"], letter["reason"]) == ("notifications-status/tracker", "MaxDeliveryCountExceeded")
    assert (letter["kind"], letter["isKept"], letter["state"]) == ("message", True, "open")
    assert (told["selected"], told["replayed"]) == (1, 1)


def _status_about_nothing(attempt_id: str, tracking_id: str) -> dict[str, Any]:
    """A receipt about a notification that is not stored, in the partition of one that is."""
    tenant = attempt_id.partition(".")[0]
    unknown = tracking_id[:-4] + ("0000" if tracking_id[-4:] != "0000" else "1111")
    item = {"trackingId": unknown, "status": "delivered", "attempt": 1, "timestamp": "2026-11-24T12:00:00Z"}
    return {
        "schemaVersion": 1, "tenantId": tenant, "occurredAt": "2026-11-24T12:00:00Z", "partitionKey": f"{tenant}:0000",
        "channel": "email", "recorded": False, "items": [item],
    }  # fmt: skip


async def _publish(stack: Stack, event: dict[str, Any]) -> None:
    key = json.loads((stack.data / "settings.json").read_text())["SERVICEBUS_SAS_KEY"]
    connection = (
        f"Endpoint=sb://127.0.0.1:{5672 + stack.offset};SharedAccessKeyName=RootManageSharedAccessKey;"
        f"SharedAccessKey={key};UseDevelopmentEmulator=true;"
    )
    async with (
        ServiceBusClient.from_connection_string(connection) as bus,
        bus.get_topic_sender("notifications-status") as sender,
    ):
        message = ServiceBusMessage(json.dumps(event), application_properties={"recorded": False})
        await sender.send_messages(message)


async def _letter(client: Client) -> dict[str, Any] | None:
    letters = (await client.call("GET", "/dead-letters?tag=unprocessed&tenant=_bus")).json["letters"]
    return letters[0] if letters else None


async def _completed(client: Client, replay_id: str) -> dict[str, Any] | None:
    told = (await client.call("GET", f"/dead-letters/replays/{replay_id}")).json
    return told if told["state"] == "completed" else None
