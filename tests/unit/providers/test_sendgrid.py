import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import Mail

from shared.adapters.jinja_renderer import MAX_RENDERED_BYTES
from shared.domain.address import EmailAddress
from shared.domain.content import EmailContent, RenderedText
from shared.domain.errors import (
    InvalidSubmission,
    Misconfigured,
    ReceiptNotAuthentic,
    Rejected,
    Throttled,
    Transient,
    Untried,
)
from shared.domain.identifiers import AttemptId
from shared.domain.receipt import ReceiptKind
from shared.ports import Accepted, OutboundMessage, ReceiptRequest
from shared.providers.sendgrid import MAX_PERSONAL_BYTES, MAX_PERSONALIZATIONS, SendGrid, SendGridSettings
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1"
KEY = ec.generate_private_key(ec.SECP256R1())
CONTENT = EmailContent("Hello", "text", "<p>html</p>")


def encoded(key) -> str:
    public = key.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def provider(client, **changed) -> SendGrid:
    settings = SendGridSettings("https://api.example", "SG.key", "Acme <no-reply@example.com>", encoded(KEY))
    return SendGrid(replace(settings, **changed), client, lambda: NOW)


def message(content=CONTENT) -> OutboundMessage:
    return OutboundMessage(AttemptId(ATTEMPT), "email", EmailAddress("pat@example.com"), content, "transactional")


async def sent(content=CONTENT, **changed):
    client = RecordingClient(answer(202, x_message_id="m1"))
    await provider(client, **changed).send(message(content))
    return client.posted[0], json.loads(client.posted[0].body)


async def failed(*answers):
    with pytest.raises((Rejected, Throttled, Misconfigured)) as caught:
        await provider(RecordingClient(*answers)).send(message())
    return caught.value


async def test_posts_what_the_vendors_own_builder_would():
    _, mail = await sent()
    built = Mail(("no-reply@example.com", "Acme"), "pat@example.com", "Hello", "text", "<p>html</p>").get()

    assert mail == {**built, "custom_args": {"attempt_id": ATTEMPT}}


ONE_CLICK = "List-Unsubscribe=One-Click"


async def test_a_link_to_unsubscribe_goes_as_headers_and_each_recipient_of_a_group_has_an_own_one():
    linked = [replace(each, unsubscribe_url=f"https://x.example/u/{each.attempt_id}") for each in GROUP]
    alone = RecordingClient(answer(202, x_message_id="m1"))
    await provider(alone).send(linked[0])
    _, together = await sent_together(linked)

    expected = [
        {"List-Unsubscribe": f"<{each.unsubscribe_url}>", "List-Unsubscribe-Post": ONE_CLICK} for each in linked
    ]
    assert json.loads(alone.posted[0].body)["headers"] == expected[0]
    assert [person["headers"] for person in together["personalizations"]] == expected


async def test_posts_to_mail_send_with_the_key():
    posted, _ = await sent()

    assert posted.url == "https://api.example/v3/mail/send"
    assert posted.headers == {"authorization": "Bearer SG.key", "content-type": "application/json"}
    assert posted.timeout == timedelta(seconds=20)


async def test_leaves_out_the_part_that_is_not_there():
    _, mail = await sent(EmailContent("Hello", html="<p>html</p>"))

    assert mail["content"] == [{"type": "text/html", "value": "<p>html</p>"}]


async def test_a_subject_stays_one_line():
    _, mail = await sent(EmailContent("Hello\r\nBcc: all@example.com\u2028x", "text"))

    assert mail["subject"] == "Hello Bcc: all@example.com x"


async def test_a_sender_without_a_display_name():
    _, mail = await sent(from_address="no-reply@example.com")

    assert mail["from"] == {"email": "no-reply@example.com"}


@pytest.mark.parametrize(
    ("field", "kind", "reason"),
    [
        ("personalizations.0.to.0.email", Rejected, "invalid_address"),
        ("personalizations.0.custom_args", Rejected, "invalid_request"),
        ("from.email", Misconfigured, "invalid_sender"),
        ("content.0.value", Rejected, "invalid_content"),
        ("subject", Rejected, "invalid_content"),
        ("something.new", Rejected, "invalid_request"),
        (None, Rejected, "invalid_request"),
    ],
)
async def test_a_400_is_judged_by_the_field_it_names(field, kind, reason):
    error = await failed(answer(400, json.dumps({"errors": [{"message": "m", "field": field}]}).encode()))

    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"errors":[]}', b'{"errors":["x"]}', b'{"errors":{}}', b"<html>"])
async def test_a_400_without_a_readable_body_is_a_reject(body):
    assert (await failed(answer(400, body))).reason == "invalid_request"


async def test_the_rate_limits_reset_stands_in_for_retry_after():
    reset = str(int(NOW.timestamp()) + 42)

    assert (await failed(answer(429, x_ratelimit_reset=reset))).retry_after == timedelta(seconds=42)
    assert (await failed(answer(429, x_ratelimit_reset="1"))).retry_after == timedelta(0)
    assert (await failed(answer(429, x_ratelimit_reset="x"))).retry_after is None
    assert (await failed(answer(429, x_ratelimit_reset=reset, retry_after="7"))).retry_after == timedelta(seconds=7)


async def test_retry_after_may_be_a_date():
    error = await failed(answer(429, retry_after="Tue, 24 Nov 2026 12:30:30 GMT"))

    assert error.retry_after == timedelta(seconds=30)


def signed(body: bytes, timestamp: str) -> ReceiptRequest:
    signature = base64.b64encode(KEY.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "x-twilio-email-event-webhook-signature": signature,
    }
    return ReceiptRequest("/api/v1/receipts/sendgrid", {}, headers, body)


@pytest.mark.parametrize("body", [b"[]", '[{"a":"ü\\r\\n"}]\r\n'.encode()])
def test_agrees_with_the_vendors_verifier(body):
    timestamp = str(int(NOW.timestamp()))
    request = signed(body, timestamp)
    signature = request.headers["x-twilio-email-event-webhook-signature"]

    assert EventWebhook(encoded(KEY)).verify_signature(body.decode(), signature, timestamp)
    provider(RecordingClient()).verify(request, NOW)

    assert not EventWebhook(encoded(KEY)).verify_signature(body.decode() + " ", signature, timestamp)
    with pytest.raises(ReceiptNotAuthentic):
        provider(RecordingClient()).verify(replace(request, body=body + b" "), NOW)


def test_another_accounts_signature_is_a_forgery():
    other = provider(RecordingClient(), receipt_public_key=encoded(ec.generate_private_key(ec.SECP256R1())))

    with pytest.raises(ReceiptNotAuthentic):
        other.verify(signed(b"[]", str(int(NOW.timestamp()))), NOW)


@pytest.mark.parametrize("key", ["", "banana", encoded(rsa.generate_private_key(65537, 2048))])
def test_a_key_of_another_kind_is_named(key):
    with pytest.raises(ValueError, match="SENDGRID_RECEIPT_PUBLIC_KEY"):
        provider(RecordingClient(), receipt_public_key=key)


def test_a_sender_that_is_no_address_is_named():
    with pytest.raises(ValueError, match="SENDGRID_FROM_ADDRESS"):
        provider(RecordingClient(), from_address="Acme")


def read(**event):
    body = json.dumps([{"attempt_id": ATTEMPT, "timestamp": 1513299569, **event}]).encode()
    (receipt,) = provider(RecordingClient()).parse(ReceiptRequest("", {}, {}, body))
    return receipt


@pytest.mark.parametrize(
    ("event", "kind", "reason"),
    [
        ({"event": "bounce", "type": "bounce"}, ReceiptKind.BOUNCED, "hard_bounce"),
        ({"event": "bounce", "type": "blocked"}, ReceiptKind.BOUNCED, "blocked"),
        ({"event": "bounce", "type": "expired"}, ReceiptKind.BOUNCED, "expired"),
        ({"event": "bounce"}, ReceiptKind.BOUNCED, "hard_bounce"),
        ({"event": "dropped", "reason": "Bounced Address"}, ReceiptKind.FAILED, "suppressed_bounced"),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, ReceiptKind.FAILED, "suppressed_unsubscribed"),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, ReceiptKind.FAILED, "suppressed_complained"),
        ({"event": "dropped", "reason": "Invalid"}, ReceiptKind.FAILED, "invalid_address"),
        ({"event": "dropped", "reason": "Something new"}, ReceiptKind.FAILED, "dropped"),
        ({"event": "group_resubscribe"}, ReceiptKind.UNKNOWN, None),
        ({"event": "delivered"}, ReceiptKind.DELIVERED, None),
    ],
)
def test_says_why(event, kind, reason):
    receipt = read(**event)

    assert (receipt.kind, receipt.reason) == (kind, reason)


def test_keeps_time_code_and_message_id():
    receipt = read(event="delivered", sg_message_id="14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0")

    assert receipt.occurred_at == datetime(2017, 12, 15, 0, 59, 29, tzinfo=UTC)
    assert (receipt.raw_code, receipt.provider_message_id) == ("delivered", "14c5d75ce93.dfd.64b469")


def test_reads_todays_form_of_message_ids():
    assert read(event="open", sg_message_id="VlAqZp4.recvd-5d-1.0").provider_message_id == "VlAqZp4"


@pytest.mark.parametrize("timestamp", [None, "soon", -1, 10**12, True, 1.5])
def test_an_event_without_a_time_is_malformed(timestamp):
    with pytest.raises(InvalidSubmission) as caught:
        read(event="delivered", timestamp=timestamp)

    assert caught.value.errors[0].pointer == "/0/timestamp"


def test_secrets_stay_out_of_representations():
    assert "SG.key" not in repr(SendGridSettings("https://api.example", "SG.key", "a@b.example", "k"))


def to(mailbox: str, number: int, content=CONTENT) -> OutboundMessage:
    attempt = AttemptId(f"acme.01ARZ3NDEKTSV4RRFFQ69G5FA{number}.email.1")
    return OutboundMessage(attempt, "email", EmailAddress(mailbox), content, "transactional")


GROUP = [to("pat@example.com", 0), to("sam@example.com", 1), to("kim@example.com", 2)]


async def sent_together(messages):
    client = RecordingClient(answer(202, x_message_id="m1"))
    results = await provider(client).send_group(messages)
    [posted] = client.posted
    return results, json.loads(posted.body)


def refusal(*fields: str) -> bytes:
    return json.dumps({"errors": [{"message": "no", "field": field} for field in fields]}).encode()


async def refused_together(status: int, body: bytes = b"", **headers: str):
    return await provider(RecordingClient(answer(status, body, **headers))).send_group(GROUP)


async def test_a_group_is_one_mail_with_a_personalization_for_each():
    results, mail = await sent_together(GROUP)

    assert results == [Accepted("m1")] * 3
    assert mail == {
        "personalizations": [
            {"to": [{"email": each.address.mailbox}], "custom_args": {"attempt_id": each.attempt_id}} for each in GROUP
        ],
        "from": {"email": "no-reply@example.com", "name": "Acme"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "text"}, {"type": "text/html", "value": "<p>html</p>"}],
    }


async def test_what_differs_is_each_ones_own_subject_and_substitutions():
    contents = [EmailContent(f"For {n}", RenderedText.of(["Order ", n, "."]), "<p>Hi</p>") for n in ("1", "2")]

    _, mail = await sent_together([to("pat@example.com", 0, contents[0]), to("sam@example.com", 1, contents[1])])

    first, second = mail["personalizations"]
    [token] = first["substitutions"]
    assert "subject" not in mail
    assert (first["subject"], second["subject"]) == ("For 1", "For 2")
    assert (first["substitutions"], second["substitutions"]) == ({token: "1"}, {token: "2"})
    assert [part["value"] for part in mail["content"]] == [f"Order {token}.", "<p>Hi</p>"]


async def test_a_400_rejects_whom_it_names_and_the_others_were_not_tried():
    results = await refused_together(400, refusal("personalizations.1.to.0.email"))

    assert [(type(each), each.reason) for each in results] == [
        (Untried, "refused_with_others"),
        (Rejected, "invalid_address"),
        (Untried, "refused_with_others"),
    ]


async def test_a_400_may_name_several():
    results = await refused_together(400, refusal("personalizations.0.to.0.email", "personalizations.2.substitutions"))

    assert [each.reason for each in results] == ["invalid_address", "refused_with_others", "invalid_request"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"<html>"),
        (400, refusal("content")),
        (400, refusal("personalizations")),
        (400, refusal("personalizations.99.to")),
        (413, b""),
    ],
)
async def test_a_refusal_that_names_none_of_them_leaves_all_untried(status, body):
    results = await refused_together(status, body)

    assert {type(each) for each in results} == {Untried}
    assert len(results) == 3


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, refusal("from.email"), Misconfigured),
        (401, b"", Misconfigured),
        (429, b"", Throttled),
        (500, b"", Transient),
    ],
)
async def test_what_is_wrong_with_the_call_is_true_of_all(status, body, error):
    with pytest.raises(error):
        await refused_together(status, body)


def test_the_most_that_a_group_can_hold_fits_into_a_request():
    content = 2 * 6 * MAX_RENDERED_BYTES  # two parts, each of characters that take six bytes when escaped
    envelope = 254 + 500  # an address and the names around it
    assert content + MAX_PERSONALIZATIONS * (MAX_PERSONAL_BYTES + envelope) < 30 * 1024 * 1024
