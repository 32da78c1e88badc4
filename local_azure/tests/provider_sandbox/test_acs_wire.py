"""Azure Communication Services as its clients see it: signed requests, operations, items, Event Grid posts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from email.utils import formatdate

import pytest
import requests

from .conftest import ACCESS_KEY, RECEIPT_KEY, eventually

SEND, SMS = "/emails:send?api-version=2023-03-31", "/sms?api-version=2021-03-07"


def signed(sandbox, method, path, body=b"", *, key=ACCESS_KEY, at=None):
    host = sandbox.url.removeprefix("http://")
    date = formatdate(at or time.time(), usegmt=True)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{path}\n{date};{host};{digest}"
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }


def call(sandbox, method, path, content=None, headers=None, **options):
    body = b"" if content is None else json.dumps(content).encode()
    every = signed(sandbox, method, path, body, **options) | {"Content-Type": "application/json"} | (headers or {})
    return requests.request(method, sandbox.url + path, data=body, headers=every, timeout=10)


def an_email(to="ann@example.com", **changes):
    headers = {"Message-ID": "<att-1@shop.example>", "X-CNS-Attempt-Id": "att-1"}
    content = {"subject": "Order", "plainText": "Hello", "html": "<p>Hello</p>"}
    recipients = {"to": [{"address": to}]}
    return {
        "senderAddress": "shop@example.com",
        "recipients": recipients,
        "content": content,
        "headers": headers,
    } | changes


def send(sandbox, content=None, operation=None, **options):
    headers = {"Operation-Id": operation or str(uuid.uuid4())}
    return call(sandbox, "POST", SEND, content or an_email(), headers, **options)


def an_sms(*to, **changes):
    recipients = [{"to": number} for number in to or ("+4915112345678",)]
    options = {"enableDeliveryReport": True, "tag": "att-2"}
    return {
        "from": "+18005550100",
        "smsRecipients": recipients,
        "message": "Hello",
        "smsSendOptions": options,
    } | changes


def posts(service, provider, about):
    """What was posted about a message, or to a recipient: the tests share one sandbox."""
    arrived = [post for post in service.arrived if post.path == f"/api/v1/receipts/{provider}"]
    return [post for post in arrived if about in post.body.decode()]


def grid_events(service, provider, about):
    found = posts(service, provider, about)
    for post in found:
        assert post.headers["x-cns-receipt-key"] == RECEIPT_KEY
        assert post.headers["aeg-event-type"] == "Notification"
    return [event for post in found for event in post.json()]


def test_an_email_becomes_an_operation_and_then_a_report(sandbox, service):
    operation = str(uuid.uuid4())

    answer = send(sandbox, operation=operation)
    (event,) = eventually(lambda: grid_events(service, "acs_email", operation))

    assert (answer.status_code, answer.json()) == (202, {"id": operation, "status": "Running", "error": None})
    assert operation in answer.headers["Operation-Location"]
    assert event["eventType"] == "Microsoft.Communication.EmailDeliveryReportReceived"
    assert event["data"]["messageId"] == operation
    assert event["data"]["internetMessageId"] == "<att-1@shop.example>"
    assert event["data"]["status"] == "Delivered"
    (message,) = sandbox.messages()
    assert (message["channel"], message["provider"], message["attemptId"]) == ("email", "acs_email", "att-1")
    assert (message["content"]["subject"], message["content"]["text"]) == ("Order", "Hello")


@pytest.mark.parametrize(
    ("name", "statuses"),
    [("bounce", ["Bounced"]), ("blocked", ["FilteredSpam"]), ("dropped", ["Suppressed"]), ("never-delivered", [])],
)
def test_magic_recipients_show_in_the_report(sandbox, service, name, statuses):
    send(sandbox, an_email(f"{name}@example.com"))
    send(sandbox, an_email(f"after-{name}@example.com"))
    eventually(lambda: posts(service, "acs_email", f"after-{name}@"))
    eventually(lambda: len(posts(service, "acs_email", f'"{name}@')) == len(statuses))

    reports = [event["data"] for event in grid_events(service, "acs_email", f'"{name}@')]
    assert [report["status"] for report in reports] == statuses
    assert all(("internetMessageId" in report) == (name != "dropped") for report in reports)


def test_engagement_is_told(sandbox, service):
    operation = str(uuid.uuid4())
    send(sandbox, an_email("clicked@example.com"), operation)
    eventually(lambda: len(posts(service, "acs_email", operation)) == 3)

    engagements = [event["data"].get("engagementType") for event in grid_events(service, "acs_email", operation)]
    assert engagements == [None, "view", "click"]


@pytest.mark.parametrize(("to", "status"), [("ann@example.com", "Succeeded"), ("dropped@example.com", "Failed")])
def test_an_operation_can_be_asked_for(sandbox, to, status):
    operation = str(uuid.uuid4())
    path = f"/emails/operations/{operation}?api-version=2023-03-31"

    before = call(sandbox, "GET", path)
    send(sandbox, an_email(to), operation)
    shown = eventually(
        lambda: call(sandbox, "GET", path).json()["status"] == status and call(sandbox, "GET", path).json()
    )

    assert before.status_code == 404
    assert (shown["id"], (shown["error"] or {}).get("code")) == (
        operation,
        "EmailDroppedAllRecipientsSuppressed" if status == "Failed" else None,
    )


def test_an_operation_id_is_used_once(sandbox):
    operation = str(uuid.uuid4())

    assert [send(sandbox, operation=operation).status_code for _ in range(2)] == [202, 409]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (an_email("nobody"), 400),
        (an_email(content={"subject": "Order"}), 400),
        (an_email(senderAddress=""), 400),
        ({"senderAddress": "x@y"}, 400),
        (an_email("reject@example.com"), 400),
        (an_email("unauthorized@example.com"), 401),
        (an_email("overloaded@example.com"), 429),
        (an_email("unavailable@example.com"), 503),
    ],
)
def test_email_refusals_have_the_vendors_shape(sandbox, content, status):
    answer = send(sandbox, content)

    assert answer.status_code == status
    assert answer.json()["error"]["code"] == answer.headers["x-ms-error-code"]


@pytest.mark.parametrize("path", [SEND, SMS])
def test_only_what_the_access_key_signed_is_taken(sandbox, path):
    content = an_email() if path == SEND else an_sms()
    other = base64.b64encode(b"another key").decode()

    assert call(sandbox, "POST", path, content, key=other).status_code == 401
    assert call(sandbox, "POST", path, content, at=time.time() - 3600).status_code == 401
    assert sandbox.post(path, json=content).status_code == 401
    assert call(sandbox, "POST", path, content).status_code == 202


def test_an_sms_is_answered_by_recipient_and_reported(sandbox, service):
    answer = call(sandbox, "POST", SMS, an_sms("+4915112345678", "12"))

    first, second = answer.json()["value"]
    event = eventually(lambda: grid_events(service, "acs_sms", first["messageId"]))[0]
    assert (first["httpStatusCode"], first["successful"]) == (202, True)
    assert (second["httpStatusCode"], second["successful"]) == (400, False)
    assert event["eventType"] == "Microsoft.Communication.SMSDeliveryReportReceived"
    assert event["data"]["messageId"] == first["messageId"]
    assert (event["data"]["tag"], event["data"]["deliveryStatus"]) == ("att-2", "Delivered")


@pytest.mark.parametrize(
    ("to", "status", "item"),
    [
        ("+15005550001", 202, 400),
        ("+15005550003", 202, 403),
        ("+15005550110", 202, 400),
        ("+15005550111", 401, None),
        ("+15005550109", 429, None),
        ("+15005550108", 503, None),
    ],
)
def test_a_refused_number_is_told_inside_a_202_and_the_rest_by_the_answer(sandbox, to, status, item):
    answer = call(sandbox, "POST", SMS, an_sms(to))

    assert answer.status_code == status
    if item is not None:
        assert answer.json()["value"][0]["httpStatusCode"] == item
    assert sandbox.ledger()[-1]["accepted"] is False


@pytest.mark.parametrize("change", [{"message": "x" * 2049}, {"smsRecipients": []}, {"from": ""}, {"message": 7}])
def test_an_sms_that_is_none_is_refused(sandbox, change):
    assert call(sandbox, "POST", SMS, an_sms(**change)).status_code == 400


@pytest.mark.parametrize(("to", "details"), [("+15005550100", "4006"), ("+15005550101", "4005")])
def test_an_undelivered_sms_says_why(sandbox, service, to, details):
    sent = call(sandbox, "POST", SMS, an_sms(to)).json()["value"][0]["messageId"]

    data = eventually(lambda: grid_events(service, "acs_sms", sent))[0]["data"]
    assert (data["deliveryStatus"], data["deliveryStatusDetails"].partition(":")[0]) == ("Failed", details)


def test_a_forged_receipt_has_another_key(sandbox, service):
    send(sandbox, an_email("forged-receipt@example.com"))

    (post,) = eventually(lambda: posts(service, "acs_email", "forged-receipt@"))
    assert post.headers["x-cns-receipt-key"] != RECEIPT_KEY


@pytest.mark.parametrize("mode", ["drip", "hang"])
def test_faults_hit_them_like_any_other(sandbox, mode):
    sandbox.post("/faults", json={"provider": "acs_email", "mode": mode})

    body = json.dumps(an_email()).encode()
    with pytest.raises(requests.RequestException):  # alive, and never done
        requests.post(sandbox.url + SEND, data=body, headers=signed(sandbox, "POST", SEND, body), timeout=0.3).json()

    assert (sandbox.ledger()[-1]["outcome"], sandbox.ledger()[-1]["accepted"]) == (mode, True)


def test_an_operation_is_known_though_its_answer_was_lost_and_no_report_comes(sandbox):
    operation = str(uuid.uuid4())
    sandbox.post("/faults", json={"provider": "acs_email", "mode": "reset-after-accept", "count": 1})

    with pytest.raises(requests.ConnectionError):
        send(sandbox, an_email("never-delivered@example.com"), operation)

    shown = call(sandbox, "GET", f"/emails/operations/{operation}?api-version=2023-03-31")
    assert shown.json()["status"] == "Running"
