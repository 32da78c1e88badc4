"""The SendGrid side, with the vendor's own package as client and verifier."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from python_http_client.exceptions import BadRequestsError, UnauthorizedError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import CustomArg, Mail

from .conftest import SENDGRID_API_KEY, SENDGRID_HEADERS, eventually, mail


def order_mail(recipient):
    message = Mail("shop@example.com", recipient, "Your order", "Hello", "<b>Hello</b>")
    message.custom_arg = CustomArg("attempt_id", f"attempt-{recipient}")
    return message


def test_the_vendors_client_gets_its_answer(sandbox, service):
    answer = SendGridAPIClient(SENDGRID_API_KEY, host=sandbox.url).send(order_mail("ann@example.com"))

    assert (answer.status_code, answer.body) == (202, b"")
    assert answer.headers["X-Message-Id"]


def test_the_vendors_client_sees_a_wrong_key(sandbox):
    with pytest.raises(UnauthorizedError) as refused:
        SendGridAPIClient("SG.wrong", host=sandbox.url).send(order_mail("ann@example.com"))

    assert refused.value.to_dict["errors"][0]["message"].startswith("The provided authorization grant is invalid")
    assert sandbox.ledger()[-1] | {"at": "", "bodyDigest": ""} == {
        "at": "",
        "provider": "sendgrid",
        "channel": "email",
        "recipient": "",
        "attemptId": None,
        "bodyDigest": "",
        "outcome": "unauthorized",
        "httpStatus": 401,
        "accepted": False,
        "messageId": "",
        "part": 0,
    }


def test_the_vendors_client_sees_a_permanent_refusal(sandbox):
    with pytest.raises(BadRequestsError) as refused:
        SendGridAPIClient(SENDGRID_API_KEY, host=sandbox.url).send(order_mail("reject@example.com"))

    assert refused.value.to_dict["errors"][0]["field"] == "personalizations.0.to.0.email"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"personalizations": []}, "personalizations", "at least one personalization"),
        ({"personalizations": [{"to": []}]}, "personalizations.0.to", "The to array is required"),
        ({"personalizations": [{"to": [{"email": "x"}]}]}, "personalizations.0.to.0.email", "valid address"),
        ({"personalizations": [{"to": [{"email": "a@b.c"}] * 2}]}, "personalizations.0", "should be unique"),
        ({"personalizations": [{"to": [{"email": "a@b.c"}]}] * 1001}, "personalizations", "limited to 1000"),
        (
            {"personalizations": [{"to": [{"email": "a@b.c"}]}, {"to": [{"email": "A@b.c"}]}]},
            "personalizations",
            "only be included once",
        ),
        (
            {"personalizations": [{"to": [{"email": "a@b.c"}], "custom_args": {"n": 1}}]},
            "personalizations.0.custom_args",
            "strings",
        ),
        (
            {"personalizations": [{"to": [{"email": "a@b.c"}], "substitutions": {"-x-": "y" * 10_000}}]},
            "personalizations.0.substitutions",
            "10000 bytes",
        ),
        ({"from": None}, "from.email", "The from object must be provided"),
        ({"subject": ""}, "subject", "The subject is required"),
        ({"content": []}, "content", "Unless a valid template_id is provided"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value", "at least one character"),
        ({"content": [{"value": "x"}]}, "content.0.type", "type"),
        (
            {"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]},
            "content",
            "must be first",
        ),
        ({"categories": [str(n) for n in range(11)]}, "categories", "maximum of 10"),
        ({"headers": {"Subject": "x"}}, "headers.Subject", "reserved"),
    ],
)
def test_a_wrong_mail_is_refused_with_the_vendors_words(sandbox, change, field, words):
    answer = sandbox.post("/v3/mail/send", json=mail("a@b.example") | change, headers=SENDGRID_HEADERS)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert words in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b'{"x":"' + b"x" * 31_500_000 + b'"}', "application/json", 413),
        (b'{"x":"' + b"x" * 34_000_000 + b'"}', "application/json", 413),
    ],
)
def test_an_unreadable_request_is_refused(sandbox, body, content_type, status):
    answer = sandbox.post("/v3/mail/send", data=body, headers=SENDGRID_HEADERS | {"Content-Type": content_type})

    assert answer.status_code == status


def test_receipts_carry_the_attempt_and_the_vendors_signature(sandbox, service, receipt_key):
    sandbox.send_email("bob@example.com", custom_args={"tenant": "t1"}, categories=["orders"])
    eventually(lambda: len(service.events()) == 2)

    processed, delivered = service.events()
    assert (processed["event"], delivered["event"]) == ("processed", "delivered")
    assert delivered["email"] == "bob@example.com"
    assert (delivered["attempt_id"], delivered["tenant"]) == ("attempt-bob@example.com", "t1")
    assert delivered["category"] == ["orders"]
    assert delivered["sg_event_id"] != processed["sg_event_id"]
    assert delivered["sg_message_id"] == processed["sg_message_id"]
    public = receipt_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    verifier = EventWebhook(base64.b64encode(public).decode())
    for post in service.arrived:
        signature = post.headers["X-Twilio-Email-Event-Webhook-Signature"]
        timestamp = post.headers["X-Twilio-Email-Event-Webhook-Timestamp"]
        assert verifier.verify_signature(post.body.decode(), signature, timestamp)
        assert not verifier.verify_signature(post.body.decode() + " ", signature, timestamp)


def test_one_call_with_a_thousand_recipients_is_one_ledger_line_and_two_receipts_each(sandbox, service):
    before = len(sandbox.ledger())
    people = [f"p{number}@example.com" for number in range(1000)]

    answer = sandbox.send_email(*people)
    eventually(lambda: len(service.events()) == 2000, seconds=10)

    lines = sandbox.ledger(since=before)
    assert answer.status_code == 202
    assert [line["recipient"] for line in lines] == people
    assert {line["attemptId"] for line in lines} == {f"attempt-{person}" for person in people}
    assert {line["messageId"] for line in lines} == {answer.headers["X-Message-Id"]}
    assert len(service.arrived) < 100, "receipts travel in batches"


def test_substitutions_are_carried_out_per_recipient(sandbox, service):
    body = mail(
        "ann@example.com", "bob@example.com", content=[{"type": "text/html", "value": "<p>Dear -name-</p>"}]
    ) | {"subject": "For -name-"}
    for person, name in zip(body["personalizations"], ("Ann", "Bob"), strict=True):
        person["substitutions"] = {"-name-": name}

    sandbox.post("/v3/mail/send", json=body, headers=SENDGRID_HEADERS)

    bob, ann = sandbox.messages(channel="email")
    assert (ann["content"]["subject"], bob["content"]["subject"]) == ("For Ann", "For Bob")
    assert sandbox.get(f"/messages/{bob['id']}/html").text == "<p>Dear Bob</p>"


def test_a_refusal_names_every_recipient_that_it_is_for(sandbox, service):
    answer = sandbox.send_email("ann@example.com", "reject+1@example.com", "bob@example.com", "reject+2@example.com")

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [
        "personalizations.1.to.0.email",
        "personalizations.3.to.0.email",
    ]
    assert sandbox.messages() == []
    assert {line["accepted"] for line in sandbox.ledger()[-4:]} == {False}


def test_a_personalizations_own_subject_and_values_reach_its_recipient(sandbox, service):
    body = mail("ann@example.com", "bob@example.com", content=[{"type": "text/plain", "value": "For -x.0; and -x.1;"}])
    for person, name in zip(body["personalizations"], ("Ann", "Bob"), strict=True):
        person |= {"subject": f"Dear {name}", "substitutions": {"-x.0;": name, "-x.1;": name.upper()}}

    sandbox.post("/v3/mail/send", json=body, headers=SENDGRID_HEADERS)

    bob, ann = sandbox.messages(channel="email")
    assert (ann["content"]["subject"], ann["content"]["text"]) == ("Dear Ann", "For Ann and ANN")
    assert (bob["content"]["subject"], bob["content"]["text"]) == ("Dear Bob", "For Bob and BOB")


def test_sandbox_mode_validates_and_sends_nothing(sandbox):
    answer = sandbox.send_email("ann@example.com", mail_settings={"sandbox_mode": {"enable": True}})

    assert answer.status_code == 200
    assert sandbox.messages() == []
    assert sandbox.ledger()[-1]["accepted"] is False
