from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from shared.domain.address import EmailAddress
from shared.domain.content import EmailContent
from shared.domain.errors import InDoubt, Misconfigured, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId, AttemptRef, TenantId
from shared.domain.look_up import AttemptInDoubt, GivenUp, NotTaken, Taken
from shared.domain.receipt import ReceiptKind
from shared.ports import OutboundMessage, ReceiptRequest
from shared.providers.acs_email import AcsEmail, AcsEmailSettings, from_settings
from shared.providers.communication_services import Resource
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = AttemptId("acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1")
OPERATION = "05563e3a-b5d3-d676-4c61-efb99302bd5b"
SETTINGS = AcsEmailSettings(Resource("https://x.example", "x.example", b"key"), "hello@example.com", ("k" * 24,))
ACCEPTED = answer(202, b'{"id":"%s","status":"Running"}' % OPERATION.encode())
DOUBT = AttemptInDoubt(ATTEMPT, EmailAddress("pat@example.com"), NOW)


def provider(*answers) -> tuple[AcsEmail, RecordingClient]:
    client = RecordingClient(*(answers or (ACCEPTED,)))
    return AcsEmail(SETTINGS, client, lambda: NOW), client


def message(**content) -> OutboundMessage:
    fields = {"subject": "Hello", "text": "text", "html": "<p>html</p>"} | content
    return OutboundMessage(ATTEMPT, "email", EmailAddress("pat@example.com"), EmailContent(**fields), "transactional")


async def test_posts_a_signed_message_under_an_operation_of_its_own():
    acs, client = provider()

    accepted = await acs.send(message(subject="Hello\r\nBcc: x@example.com"))

    (posted,) = client.posted
    assert accepted.provider_message_id == OPERATION
    assert posted.url == "https://x.example/emails:send?api-version=2023-03-31"
    assert posted.headers["operation-id"] == posted.headers["x-ms-client-request-id"] == OPERATION
    assert posted.headers["authorization"].startswith("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&")
    assert posted.timeout == timedelta(seconds=20)
    assert orjson.loads(posted.body) == {
        "senderAddress": "hello@example.com",
        "recipients": {"to": [{"address": "pat@example.com"}]},
        "content": {"subject": "Hello Bcc: x@example.com", "plainText": "text", "html": "<p>html</p>"},
        "headers": {"Message-ID": f"<{ATTEMPT}@example.com>", "X-CNS-Attempt-Id": ATTEMPT},
    }


async def test_a_link_to_unsubscribe_goes_as_headers():
    acs, client = provider()

    await acs.send(replace(message(), unsubscribe_url="https://x.example/u/1"))

    headers = orjson.loads(client.posted[0].body)["headers"]
    assert headers["List-Unsubscribe"] == "<https://x.example/u/1>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_leaves_out_the_part_that_is_not_there():
    acs, client = provider()

    await acs.send(message(html=None))

    assert set(orjson.loads(client.posted[0].body)["content"]) == {"subject", "plainText"}


async def test_an_operation_that_is_known_already_was_taken():
    acs, _ = provider(answer(409, b'{"error":{"code":"Conflict"}}'))

    assert (await acs.send(message())).provider_message_id == OPERATION


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]"])
async def test_a_success_that_is_not_the_vendors_is_in_doubt(body):
    acs, _ = provider(answer(202, body))

    with pytest.raises(InDoubt, match="malformed_answer"):
        await acs.send(message())


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (400, "BadRequest", Rejected, "invalid_request"),
        (400, "InvalidSenderUserName", Misconfigured, "invalid_sender"),
        (404, "DomainNotLinked", Misconfigured, "sender_not_linked"),
        (401, "Denied", Misconfigured, "authentication_failed"),
        (403, "", Misconfigured, "permission_refused"),
        (413, "", Rejected, "content_too_large"),
        (429, "TooManyRequests", Throttled, "too_many_requests"),
        (500, "", Transient, "provider_unavailable"),
    ],
)
async def test_a_failure_is_judged_by_its_code_and_then_by_its_status(status, code, kind, reason):
    acs, _ = provider(answer(status, orjson.dumps({"error": {"code": code}}), retry_after="60"))

    with pytest.raises(kind) as caught:
        await acs.send(message())

    assert caught.value.reason == reason
    assert caught.value.retry_after == timedelta(seconds=60)


async def test_what_only_this_vendor_suppresses_another_may_carry():
    acs, _ = provider(answer(400, b'{"error":{"code":"EmailDroppedAllRecipientsSuppressed"}}'))

    with pytest.raises(Rejected) as caught:
        await acs.send(message())

    assert caught.value.elsewhere


@pytest.mark.parametrize(
    ("status", "body", "finding"),
    [
        (200, {"id": OPERATION, "status": "Running"}, Taken(OPERATION)),
        (200, {"id": OPERATION, "status": "Succeeded"}, Taken(OPERATION)),
        (200, {"status": "Failed", "error": {"code": "EmailDropped"}}, GivenUp("dropped")),
        (
            200,
            {"status": "Failed", "error": {"code": "EmailDroppedAllRecipientsSuppressed"}},
            GivenUp("suppressed_by_provider"),
        ),
        (200, {"status": "Canceled", "error": {"code": "News"}}, GivenUp("dropped")),
        (404, {"error": {"code": "NotFound"}}, NotTaken()),
    ],
)
async def test_an_attempt_is_looked_up_by_its_operation(status, body, finding):
    acs, client = provider(answer(status, orjson.dumps(body)))

    assert await acs.find_attempt(DOUBT) == finding
    (asked,) = client.posted
    assert (asked.method, asked.url) == (
        "GET",
        f"https://x.example/emails/operations/{OPERATION}?api-version=2023-03-31",
    )
    assert asked.headers["authorization"].startswith("HMAC-SHA256 ")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(401, b"", Misconfigured), (429, b"", Throttled), (503, b"", Transient), (200, b"<html>", InDoubt)],
)
async def test_a_look_up_that_fails_says_why(status, body, kind):
    acs, _ = provider(answer(status, body))

    with pytest.raises(kind):
        await acs.find_attempt(DOUBT)


def received(**data):
    event = {
        "eventType": "Microsoft.Communication.EmailDeliveryReportReceived",
        "eventTime": "2026-11-24T12:30:00Z",
        "data": {"messageId": OPERATION, "status": "Delivered"} | data,
    }
    return provider()[0].parse(ReceiptRequest("/", {}, {}, orjson.dumps([event])))


@pytest.mark.parametrize("spelling", ["deliveryAttemptTimestamp", "deliveryAttemptTimeStamp"])
def test_a_report_tells_when_it_happened(spelling):
    (receipt,) = received(**{spelling: "2026-11-24T12:29:32.9912345+00:00"})

    assert receipt.occurred_at == datetime(2026, 11, 24, 12, 29, 32, 991234, UTC)


@pytest.mark.parametrize("said", ["", "noon", "2026-11-24T12:29:32"])
def test_without_a_moment_of_its_own_the_events_counts(said):
    (receipt,) = received(deliveryAttemptTimestamp=said)

    assert receipt.occurred_at == NOW


def test_the_message_id_names_the_attempt():
    (receipt,) = received(internetMessageId=f"<{ATTEMPT}@example.com>", messageId="of-no-use")

    assert (receipt.attempt_id, receipt.provider_message_id) == (ATTEMPT, "of-no-use")


@pytest.mark.parametrize("header", [None, "<rewritten@azurecomm.net>"])
def test_without_ours_the_operation_names_the_attempt_but_for_its_tenant(header):
    (receipt,) = received(internetMessageId=header)

    assert AttemptRef.parse(receipt.attempt_id) == replace(AttemptRef.parse(ATTEMPT), tenant=TenantId(""))


@pytest.mark.parametrize("operation", ["", "x", "00000000-0000-0000-0000-000000000000", None])
def test_an_operation_that_is_not_ours_is_left_out(operation):
    assert received(messageId=operation) == []


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        ("delivered", ReceiptKind.DELIVERED, None),
        ("Bounced", ReceiptKind.BOUNCED, "hard_bounce"),
        ("Suppressed", ReceiptKind.FAILED, "suppressed_by_provider"),
        ("Quarantined", ReceiptKind.BOUNCED, "quarantined"),
    ],
)
def test_a_status_is_read_in_any_case(status, kind, reason):
    (receipt,) = received(status=status)

    assert (receipt.kind, receipt.reason, receipt.raw_code) == (kind, reason, status)


OWN = {
    "ACS_EMAIL_CONNECTION": "endpoint=https://x.example/;accesskey=a2V5",
    "ACS_EMAIL_FROM_ADDRESS": "hello@example.com",
    "ACS_EMAIL_RECEIPT_KEY": "k" * 24,
}


@pytest.mark.parametrize("sender", ["nobody", "Acme <hello@example.com>", "a@b@c", "hällo@example.com"])
def test_a_sender_that_is_no_plain_address_is_named(sender):
    with pytest.raises(ValueError, match="ACS_EMAIL_FROM_ADDRESS"):
        from_settings(OWN | {"ACS_EMAIL_FROM_ADDRESS": sender}, RecordingClient(), RecordingClient())


def test_secrets_stay_out_of_representations():
    assert "kkkk" not in repr(SETTINGS)
    assert "b'key'" not in repr(SETTINGS)
