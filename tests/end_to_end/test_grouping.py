"""A batch of emails is few provider calls, as the provider sees it, and each recipient gets a mail of their own."""

import json
from typing import Any

import pytest

from tests.end_to_end.conftest import Client, email, eventually

pytestmark = pytest.mark.end_to_end
COUNT = 250


def _order(number: int, mailbox: str = "") -> dict[str, Any]:
    data = {"orderId": f"G-{number:04d}", "orderTotal": f"€ {number}.00", "customerName": f"<Ann & Bob {number}>"}
    return email(mailbox or f"group{number}@example.com", data=data)


async def _ledger(client: Client, wanted: set[str]) -> list[dict[str, Any]]:
    async with client.session.get(client.stack.sandbox + "/ledger") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    return [line for line in lines if (line["attemptId"] or "..").split(".")[1] in wanted]


async def test_250_emails_are_five_calls_and_each_is_in_exactly_one(client: Client) -> None:
    orders = [_order(number) for number in range(COUNT)]
    answer = await client.call("POST", "/notifications/batch", json={"notifications": orders})
    ids = [item["trackingId"] for item in answer.json["items"]]

    async def all_called() -> list[dict[str, Any]] | None:
        lines = await _ledger(client, set(ids))
        return lines if len(lines) >= COUNT else None

    lines = await eventually(all_called, 30, f"{COUNT} attempts")
    views = [await client.view_when(each, "delivered") for each in ids[::25]]

    assert len({line["attemptId"] for line in lines}) == len(lines) == COUNT
    assert len({line["messageId"] for line in lines}) == 5
    assert all(len(view["deliveries"][0]["attempts"]) == 1 for view in views)
    url = f"{client.stack.sandbox}/messages.json?recipient=group17@example.com"
    async with client.session.get(url) as found:
        [message] = json.loads(await found.text())["messages"]
    assert message["content"]["subject"] == "Your order G-0017 is confirmed"
    assert "Hello <Ann & Bob 17>," in message["content"]["text"]
    assert "Hello &lt;Ann &amp; Bob 17&gt;," in message["content"]["html"]
    assert "€ 17.00" in message["content"]["html"]


async def test_who_is_refused_fails_alone_and_the_others_arrive_by_their_next_attempt(client: Client) -> None:
    orders = [_order(1000 + number) for number in range(9)] + [_order(1009, "reject+group@example.com")]
    answer = await client.call("POST", "/notifications/batch", json={"notifications": orders})
    *others, refused = [item["trackingId"] for item in answer.json["items"]]

    failed = await client.view_when(refused, "failed")
    views = [await client.view_when(each, "delivered") for each in others]

    assert failed["deliveries"][0]["reason"] == "invalid_address"
    for view in views:
        assert [each["outcome"] for each in view["deliveries"][0]["attempts"]] == ["untried", "sent"]
    lines = await _ledger(client, {*others, refused})
    assert len({line["attemptId"] for line in lines}) == len(lines) == 19
