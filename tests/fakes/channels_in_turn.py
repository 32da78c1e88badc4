"""Requests whose channels are used one after the other."""

from typing import Any

from tests.fakes.world import ADDRESS

RECIPIENT = {
    "customerId": "cust-1",
    "email": ADDRESS,
    "phone": "+4915112345678",
    "deviceTokens": [{"platform": "fcm", "token": "device-1"}],
    "webhookUrl": "https://customer.example/hook",
}
CONTENT = {
    "email": {"subject": "Your order", "text": "It is on its way."},
    "sms": {"text": "It is on its way."},
    "push": {"title": "Your order", "body": "It is on its way."},
    "webhook": {"order": "on its way"},
}


def in_turn(*order: str, deadline: int | None = None, **changes: Any) -> dict[str, Any]:
    """The fields that ask for the channels of ``order``, as changes of an ordinary body."""
    routing = {"strategy": "fallback", "order": list(order)} | ({"deadlineSeconds": deadline} if deadline else {})
    content = {name: CONTENT[name] for name in order}
    return {"channels": None, "routing": routing, "recipient": RECIPIENT, "content": content} | changes
