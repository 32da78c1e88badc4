"""A consumer takes notifications back, on the running service."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.end_to_end.conftest import Client, email

pytestmark = pytest.mark.end_to_end


async def test_what_is_scheduled_can_be_taken_back_and_is_never_sent(client: Client) -> None:
    send_at = datetime.now(UTC) + timedelta(seconds=3)
    tracking_id = await client.accepted(email(sendAt=send_at.isoformat()))

    answer = await client.call("DELETE", f"/notifications/{tracking_id}")
    again = await client.call("DELETE", f"/notifications/{tracking_id}")
    await asyncio.sleep(5)  # its time comes and goes: that nothing happens can only be waited for

    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    assert [each["cancellation"] for each in answer.json["deliveries"]] == ["cancelled"]
    assert again.json == answer.json
    assert await client.provider_calls(tracking_id) == []


async def test_what_was_sent_is_told_to_be_too_late(client: Client) -> None:
    tracking_id = await client.accepted(email())
    await client.view_when(tracking_id, "delivered")

    answer = await client.call("DELETE", f"/notifications/{tracking_id}")

    assert (answer.status, answer.json["status"]) == (200, "delivered")
    assert [each["cancellation"] for each in answer.json["deliveries"]] == ["too_late"]


async def test_what_is_not_there_cant_be_taken_back(client: Client) -> None:
    answer = await client.call("DELETE", "/notifications/01M86PTPG0FM4ZR32P5GKMSV2T")

    assert answer.status == 404
