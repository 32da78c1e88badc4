"""Every magic recipient does what the table says, on every channel it is for."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from local_azure.provider_sandbox.magic import EMAIL, PUSH, SLACK, SMS, TABLE, WEBHOOK, WHATSAPP, MagicRecipients
from local_azure.provider_sandbox.outcomes import DELIVERED

from .conftest import ROOT, eventually

BY_NAME = {row.outcome.name: row for row in TABLE}
README = ROOT / "local_azure/provider_sandbox/README.md"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.outcome.name)
def test_each_row_is_found_on_its_channels_only(row):
    name = row.outcome.name
    recipients = {
        EMAIL: f"{name.title()}+tag@example.com",
        SMS: row.phone or "+4915112345678",
        PUSH: f"{name}-abc123",
        WEBHOOK: name,
        SLACK: name,
        WHATSAPP: row.phone or "+4915112345678",
    }
    for channel, recipient in recipients.items():
        meant = channel in row.channels and (row.phone or channel not in {SMS, WHATSAPP})
        expected = row.outcome if meant else DELIVERED
        assert MagicRecipients().outcome(channel, recipient) == expected, (channel, recipient)


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        (EMAIL, "ann@example.com"),
        (EMAIL, "bouncer@example.com"),
        (EMAIL, "no-bounce@example.com"),
        (PUSH, "bounced"),
        (PUSH, "f3c1bounce-"),
        (SMS, "+15005550006"),
        (SMS, "+4915005550100"),
    ],
)
def test_other_recipients_are_ordinary(channel, recipient):
    assert MagicRecipients().outcome(channel, recipient) is DELIVERED


@pytest.mark.parametrize(
    ("channel", "recipient", "failures"),
    [
        (EMAIL, "temporary-failure@example.com", 1),
        (EMAIL, "temporary-failure-3@example.com", 3),
        (EMAIL, "temporary-failure-2+x@example.com", 2),
        (EMAIL, "throttled-2@example.com", 2),
        (PUSH, "temporary-failure-2-abc", 2),
        (SMS, "+15005550202", 2),
        (SMS, "+15005550301", 1),
        (WEBHOOK, "temporary-failure-2", 2),
    ],
)
def test_counted_recipients_fail_first_and_begin_again_after_a_success(channel, recipient, failures):
    magic = MagicRecipients()

    met = [magic.outcome(channel, recipient).accepted for _ in range(2 * (failures + 1))]

    assert met == ([False] * failures + [True]) * 2


def test_the_memory_of_failures_is_bounded():
    magic = MagicRecipients()
    for number in range(20_000):
        magic.outcome(EMAIL, f"temporary-failure+{number}@example.com")

    assert len(magic._failures) == 10_000


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.outcome.name)
def test_the_readme_shows_the_row(row):
    lines = [line for line in Path(README).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    shown = next(line for line in lines if line.startswith(f"| `{row.outcome.name}` |"))
    assert row.phone in shown
    assert row.meaning in shown


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("bounce", ["processed", "bounce"]),
        ("blocked", ["processed", "bounce"]),
        ("dropped", ["dropped"]),
        ("deferred", ["processed", "deferred", "delivered"]),
        ("complaint", ["processed", "delivered", "spamreport"]),
        ("unsubscribe", ["processed", "delivered", "unsubscribe"]),
        ("clicked", ["processed", "delivered", "open", "click"]),
        ("reversed-receipts", ["delivered", "processed"]),
        ("duplicate-receipts", ["processed", "processed", "delivered", "delivered"]),
    ],
)
def test_an_email_outcome_shows_in_the_receipts(sandbox, service, name, events):
    answer = sandbox.send_email(f"{name}@example.com")
    eventually(lambda: len(service.events()) == len(events))

    assert answer.status_code == 202
    assert [event["event"] for event in service.events()] == events
    assert sandbox.ledger()[-1]["outcome"] == name
    assert len({event["sg_event_id"] for event in service.events()}) == len(set(events))


def test_a_message_that_is_never_delivered_has_no_receipts(sandbox, service):
    sandbox.send_email("never-delivered@example.com")
    sandbox.send_email("ann@example.com")
    eventually(lambda: len(service.events()) == 2)

    assert {event["email"] for event in service.events()} == {"ann@example.com"}


def test_a_forged_receipt_has_a_wrong_signature(sandbox, service, receipt_key):
    sandbox.send_email("forged-receipt@example.com", "ann@example.com")
    eventually(lambda: len(service.events()) == 4)

    forged = [post for post in service.arrived if post.json()[0]["email"] == "forged-receipt@example.com"]
    assert forged
    assert not any(_is_authentic(receipt_key, post) for post in forged)
    assert all(_is_authentic(receipt_key, post) for post in service.arrived if post not in forged)


def _is_authentic(key, post):
    signature = base64.b64decode(post.headers["X-Twilio-Email-Event-Webhook-Signature"])
    signed = post.headers["X-Twilio-Email-Event-Webhook-Timestamp"].encode() + post.body
    try:
        key.public_key().verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "status"), [("temporary-failure", 500), ("unavailable", 503), ("overloaded", 429), ("reject", 400)]
)
def test_an_email_refusal_has_its_status(sandbox, name, status):
    answer = sandbox.send_email(f"{name}+{status}@example.com")

    assert answer.status_code == status
    assert answer.json()["errors"][0]["message"]
    assert (answer.headers.get("Retry-After") == "30") == (name == "overloaded")


def test_a_cut_connection_before_acceptance_accepts_nothing(sandbox):
    with pytest.raises(requests.ConnectionError):
        sandbox.send_email("reset@example.com")

    last = sandbox.ledger()[-1]
    assert (last["outcome"], last["accepted"], last["httpStatus"]) == ("reset", False, None)
    assert sandbox.messages() == []


def test_a_cut_connection_after_acceptance_is_followed_by_receipts(sandbox, service):
    with pytest.raises(requests.ConnectionError):
        sandbox.send_email("reset-after-accept@example.com")
    eventually(lambda: len(service.events()) == 2)

    assert sandbox.ledger()[-1]["accepted"] is True
    assert service.events()[-1]["event"] == "delivered"


def test_a_garbled_answer_still_accepts(sandbox, service):
    answer = sandbox.send_email("malformed@example.com")
    eventually(lambda: len(service.events()) == 2)

    assert answer.status_code == 202
    assert "X-Message-Id" not in answer.headers
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_hanging_call_is_in_the_ledger_while_the_caller_waits(sandbox):
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            sandbox.url + "/v3/mail/send",
            json={
                "personalizations": [{"to": [{"email": "hang@example.com"}]}],
                "from": {"email": "shop@example.com"},
                "subject": "x",
                "content": [{"type": "text/plain", "value": "x"}],
            },
            headers={"Authorization": "Bearer SG.test-key"},
            timeout=0.3,
        )

    assert sandbox.ledger()[-1]["outcome"] == "hang"
