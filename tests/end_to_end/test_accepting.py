"""What is accepted, what is refused and how, and that accepting is exactly once per idempotency key."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.end_to_end.conftest import DATA, Client, email

pytestmark = pytest.mark.end_to_end


async def test_same_key_a_hundred_times_at_once_makes_one_notification(client: Client) -> None:
    key = str(uuid.uuid4())

    answers = await asyncio.gather(*(client.submit(email(), Idempotency_Key=key) for _ in range(100)))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["trackingId"] for answer in answers}) == 1
    replays = [answer for answer in answers if answer.headers.get("Idempotency-Replayed") == "true"]
    assert len(replays) == 99
    tracking_id = answers[0].json["trackingId"]
    await client.view_when(tracking_id, "delivered")
    assert len(await client.provider_calls(tracking_id)) == 1


async def test_key_with_another_body_is_refused(client: Client) -> None:
    key = str(uuid.uuid4())
    await client.accepted(email(), Idempotency_Key=key)

    answer = await client.submit(email("grace@example.com"), Idempotency_Key=key)

    assert answer.status == 422
    assert answer.json["type"].endswith("/idempotency-key-reused")


async def test_repeated_batch_replays_its_answer(client: Client) -> None:
    key = {"X-Idempotency-Key": str(uuid.uuid4())}
    body = {"notifications": [email(f"batch{number}@example.com") for number in range(150)] + [{"channels": []}]}

    first = await client.call("POST", "/notifications/batch", json=body, headers=key)
    second = await client.call("POST", "/notifications/batch", json=body, headers=key)

    assert (first.status, second.status) == (207, 207)
    assert first.json == second.json
    assert (first.json["accepted"], first.json["rejected"]) == (150, 1)
    assert first.json["items"][150]["problem"]["status"] == 422
    assert second.headers["Idempotency-Replayed"] == "true"


def _without(field: str) -> dict[str, Any]:
    return {name: value for name, value in email().items() if name != field}


def _recipient(**fields: Any) -> dict[str, Any]:
    return email() | {"recipient": fields}


def _webhook(url: str) -> dict[str, Any]:
    return _recipient(webhookUrl=url) | {"channels": ["webhook"]}


def _device(**fields: Any) -> dict[str, Any]:
    return _recipient(deviceTokens=[fields])


def _template(**fields: Any) -> dict[str, Any]:
    return email() | {"template": {"id": "order-confirmation"} | fields}


LITERAL_EMAIL = {"email": {"subject": "s", "text": "t"}}


MALFORMED: list[tuple[str, Any, str]] = [
    ("no recipient", _without("recipient"), "/recipient"),
    ("no channels", _without("channels"), "/channels"),
    ("recipient is text", email() | {"recipient": "ada"}, "/recipient"),
    ("recipient is empty", _recipient(), "/recipient/email"),
    ("address without @", _recipient(email="ada.example.com"), "/recipient/email"),
    ("address with a line break", _recipient(email="ada@example.com\r\nBcc: eve@example.com"), "/recipient/email"),
    ("address is a number", _recipient(email=17), "/recipient/email"),
    ("address too long", _recipient(email="a" * 250 + "@example.com"), "/recipient/email"),
    ("channels is text", email() | {"channels": "email"}, "/channels"),
    ("channels is empty", email() | {"channels": []}, "/channels"),
    ("unknown channel", email() | {"channels": ["fax"]}, "/channels/0"),
    ("channel twice", email() | {"channels": ["email", "email"]}, "/channels/1"),
    ("channel without its address", email() | {"channels": ["email", "sms"]}, "/recipient/phone"),
    ("phone not E.164", _recipient(phone="0151 123") | {"channels": ["sms"]}, "/recipient/phone"),
    ("device without token", _device(platform="fcm"), "/recipient/deviceTokens/0/token"),
    (
        "unknown platform",
        _device(platform="x", token="t"),
        "/recipient/deviceTokens/0/platform",
    ),
    (
        "webhook to a metadata address",
        _webhook("http://169.254.169.254/"),
        "/recipient/webhookUrl",
    ),
    (
        "webhook by ftp",
        _webhook("ftp://example.com/"),
        "/recipient/webhookUrl",
    ),
    ("unknown template", _template(id="no-such-template"), "/template/id"),
    (
        "unknown template version",
        _template(version="9.9.9"),
        "/template/version",
    ),
    (
        "version not semantic",
        _template(version="one"),
        "/template/version",
    ),
    ("template id with a path", _template(id="../secrets"), "/template/id"),
    ("template is text", email() | {"template": "order-confirmation"}, "/template"),
    ("placeholder missing", email() | {"data": {"orderId": "A-1"}}, "/data/orderTotal"),
    ("data is a list", email() | {"data": [1, 2]}, "/data"),
    ("data too large", email() | {"data": DATA | {"note": "x" * 40_000}}, "/data"),
    ("unknown field", email() | {"sendat": "tomorrow"}, "/sendat"),
    ("unknown priority", email() | {"priority": "urgent"}, "/priority"),
    ("unknown category", email() | {"category": "spam"}, "/category"),
    ("sendAt without zone", email() | {"sendAt": "2030-01-01T10:00:00"}, "/sendAt"),
    ("sendAt too far ahead", email() | {"sendAt": "2099-01-01T10:00:00Z"}, "/sendAt"),
    ("expiresAt in the past", email() | {"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
    ("reference with a control character", email() | {"reference": "a\u0000b"}, "/reference"),
    ("reference too long", email() | {"reference": "x" * 200}, "/reference"),
    ("metadata value is a number", email() | {"metadata": {"a": 1}}, "/metadata/a"),
    (
        "literal SMS missing",
        _recipient(phone="+4915112345678") | {"channels": ["sms"], "template": None, "content": LITERAL_EMAIL},
        "/content/sms",
    ),
]


@pytest.mark.parametrize(("body", "pointer"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
async def test_malformed_body_is_refused_by_a_problem_that_names_the_field(
    client: Client, body: Any, pointer: str
) -> None:
    answer = await client.call("POST", "/notifications", json=body)

    assert answer.status == 422, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert pointer in {error["pointer"] for error in answer.json["errors"]}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"{" * 100_000, b'{"a":' * 5_000, b"x" * 70_000]
)
async def test_bytes_that_are_no_notification_are_refused(client: Client, body: bytes) -> None:
    for path in ("/notifications", "/notifications/batch"):
        answer = await client.call("POST", path, data=body, headers={"Content-Type": "application/json"})

        assert answer.status in {400, 413, 422}, answer
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("count", [0, 1001])
async def test_batch_of_none_or_too_many_is_refused(client: Client, count: int) -> None:
    answer = await client.call("POST", "/notifications/batch", json={"notifications": [email()] * count})

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/notifications"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/notifications/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404),
        ("GET", "/notifications/not-an-id", 404),
        ("GET", "/callback-endpoints/nothing", 404),
        ("POST", "/receipts/nobody", 404),
        ("GET", "/nothing", 404),
        ("PATCH", "/notifications/batch", 405),
    ],
)
async def test_other_paths_are_refused_with_a_problem(client: Client, method: str, path: str, status: int) -> None:
    answer = await client.call(method, path, data=b"[]")

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic dXNlcjpwYXNz", "Bearer a.b.c"])
async def test_no_acceptable_credential_is_401(client: Client, header: str) -> None:
    answer = await client.submit(email(), Authorization=header)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("provider", ["sendgrid", "twilio", "notification_hubs"])
async def test_unsigned_receipt_is_refused(client: Client, provider: str) -> None:
    answer = await client.call("POST", f"/receipts/{provider}", data=b'[{"event":"delivered"}]')

    assert answer.status == 401
