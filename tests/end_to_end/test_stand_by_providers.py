"""The other providers of email and SMS: who stands in when the first is away, and how their receipts come back.

Two tenants of this file's own have policies that put other providers first, so that no test waits for one to fail.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.conftest import ROOT, Client, Stack, email, to

pytestmark = pytest.mark.end_to_end
TENANTS = {
    "orders": {"email": [{"name": "acs_email"}], "sms": [{"name": "acs_sms"}]},
    "marketing": {"email": [{"name": "smtp"}]},
}


def _key(stack: Stack, name: str) -> str:
    return str(json.loads((stack.data / "settings.json").read_text())[name])


def _token(stack: Stack, application: str) -> str:
    command = [sys.executable, "-m", "local_azure.entra", "token", "--data", str(stack.data / "entra")]
    command += ["--port", str(7073 + stack.offset), "--client", application]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip().partition(": ")[2]


def _tenant(stack: Stack, application: str) -> str:
    clients = json.loads((stack.data / "entra" / "clients.json").read_text())
    return next(str(client["client_id"]) for client in clients if client["name"] == application)


@pytest.fixture
async def consumers(client: Client, stack: Stack) -> AsyncIterator[dict[str, Client]]:
    """A client of each tenant."""
    sessions = {}
    for application, providers in TENANTS.items():
        path = f"/tenant-policies/{_tenant(stack, application)}"
        known = await client.call("GET", path)
        if not known.json.get("providers"):
            etag = {"If-Match": known.headers["ETag"]}
            answer = await client.call("PUT", path, json={"providers": providers}, headers=etag)
            assert answer.status == 200, answer
        sessions[application] = aiohttp.ClientSession(headers={"Authorization": _token(stack, application)})
    yield {application: Client(session, stack) for application, session in sessions.items()}
    for session in sessions.values():
        await session.close()


async def _fault(client: Client, **fault: Any) -> None:
    await client.call("POST", f"{client.stack.sandbox}/faults", json=fault)


async def _mend(client: Client) -> None:
    await client.call("DELETE", f"{client.stack.sandbox}/faults")


async def _accepted_by(client: Client, tracking_id: str) -> list[str]:
    return [call["provider"] for call in await client.provider_calls(tracking_id) if call["accepted"]]


@pytest.mark.parametrize(
    ("tenant", "channel", "provider", "status"),
    [
        ("orders", "email", "acs_email", "delivered"),
        ("orders", "sms", "acs_sms", "delivered"),
        ("marketing", "email", "smtp", "sent"),  # nothing comes back from a mail server
    ],
)
async def test_each_delivers_with_one_call_and_its_receipt_counts(
    consumers: dict[str, Client], tenant: str, channel: str, provider: str, status: str
) -> None:
    consumer = consumers[tenant]
    tracking_id = await consumer.accepted(to(channel, consumer.stack))

    view = await consumer.view_when(tracking_id, status)

    assert [attempt["provider"] for attempt in view["deliveries"][0]["attempts"]] == [provider]
    assert await _accepted_by(consumer, tracking_id) == [provider]


async def test_another_stands_in_for_the_first(client: Client) -> None:
    await _fault(client, provider="sendgrid", mode="503")
    try:
        tracking_id = await client.accepted(email())
        await client.view_when(tracking_id, "delivered", within=90)
    finally:
        await _mend(client)

    assert await _accepted_by(client, tracking_id) == ["acs_email"]


async def test_event_grids_handshake_is_answered_and_a_stranger_gets_nothing(client: Client, stack: Stack) -> None:
    url = f"{stack.url(7071)}/api/v1/receipts/acs_email"
    code = str(uuid.uuid4())
    event = {
        "id": "1",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-11-25T00:00:00Z",
        "data": {"validationCode": code},
    }

    async def ask(key: str) -> tuple[int, Any]:
        answer = await client.call("POST", url, json=[event], headers={"x-cns-receipt-key": key})
        return answer.status, answer.json

    assert await ask(_key(stack, "ACS_EMAIL_RECEIPT_KEY")) == (200, {"validationResponse": code})
    assert (await ask("guessed"))[0] == 401


async def test_a_report_that_names_no_tenant_still_finds_its_notification(consumers: dict[str, Client]) -> None:
    """*Suppressed* carries the operation's id alone; the tenant is found by a query of the store."""
    consumer = consumers["orders"]
    tracking_id = await consumer.accepted(email("dropped@example.com"))

    view = await consumer.view_when(tracking_id, "failed")

    assert view["deliveries"][0]["reason"] == "suppressed_by_provider"


async def test_an_attempt_whose_answer_was_lost_is_found_at_the_provider(consumers: dict[str, Client]) -> None:
    """The call is accepted, its connection cut, and no receipt ever comes: the provider is asked, nothing is resent."""
    consumer = consumers["orders"]
    await _fault(consumer, provider="acs_email", mode="reset-after-accept", count=1)
    tracking_id = await consumer.accepted(email("never-delivered@example.com"))

    view = await consumer.view_when(tracking_id, "sent", within=60)

    assert view["deliveries"][0]["reason"] == "found_at_provider"
    assert await _accepted_by(consumer, tracking_id) == ["acs_email"]


async def test_an_attempt_that_never_arrived_is_sent_again_though_it_is_an_advertisement(
    consumers: dict[str, Client],
) -> None:
    consumer = consumers["orders"]
    await _fault(consumer, provider="acs_email", mode="reset", count=1)
    tracking_id = await consumer.accepted(email(category="marketing"))

    view = await consumer.view_when(tracking_id, "delivered", within=60)

    assert [attempt["outcome"] for attempt in view["deliveries"][0]["attempts"]] == ["indoubt", "sent"]
    assert await _accepted_by(consumer, tracking_id) == ["acs_email"]
