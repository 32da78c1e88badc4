from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from shared.domain.address import PhoneNumber
from shared.domain.content import SmsContent
from shared.domain.errors import InDoubt, Misconfigured, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.domain.receipt import ReceiptKind
from shared.domain.reply import Reply
from shared.ports import OutboundMessage, ReceiptRequest
from shared.providers.acs_sms import INCOMING, AcsSms, AcsSmsSettings, from_settings
from shared.providers.communication_services import Resource
from shared.providers.sms_senders import SmsSenders
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = AttemptId("acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.sms.1")
SETTINGS = AcsSmsSettings(
    Resource("https://x.example", "x.example", b"key"), SmsSenders({"": ["+18005550100"]}), ("k" * 24,)
)
OWN = {
    "ACS_SMS_CONNECTION": "endpoint=https://x.example/;accesskey=a2V5",
    "ACS_SMS_FROM": "+18005550100",
    "ACS_SMS_RECEIPT_KEY": "k" * 24,
}


def item(**fields) -> bytes:
    return orjson.dumps({"value": [{"to": "+15005550006", "httpStatusCode": 202, "successful": True} | fields]})


def provider(*answers) -> tuple[AcsSms, RecordingClient]:
    client = RecordingClient(*(answers or (answer(202, item(messageId="Outgoing_1")),)))
    return AcsSms(SETTINGS, client, lambda: NOW), client


def message() -> OutboundMessage:
    return OutboundMessage(ATTEMPT, "sms", PhoneNumber("+15005550006"), SmsContent("Hi & héllo"), "transactional")


async def test_posts_a_signed_repeatable_request_that_carries_the_attempt_as_its_tag():
    acs, client = provider()

    accepted = await acs.send(message())

    (posted,) = client.posted
    assert accepted.provider_message_id == "Outgoing_1"
    assert posted.url == "https://x.example/sms?api-version=2021-03-07"
    assert posted.headers["authorization"].startswith("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&")
    assert posted.timeout == timedelta(seconds=20)
    assert orjson.loads(posted.body) == {
        "from": "+18005550100",
        "smsRecipients": [
            {
                "to": "+15005550006",
                "repeatabilityRequestId": "05563e3a-b5d3-d676-4c61-efb99302bd5b",
                "repeatabilityFirstSent": "Tue, 24 Nov 2026 12:30:00 GMT",
            }
        ],
        "message": "Hi & héllo",
        "smsSendOptions": {"enableDeliveryReport": True, "tag": ATTEMPT},
    }


async def test_taken_without_a_message_id_is_accepted_under_the_attempt_alone():
    acs, _ = provider(answer(202, item()))

    assert (await acs.send(message())).provider_message_id is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"value":[]}', b'{"value":[1]}', item(successful=None, httpStatusCode=None)]
)
async def test_a_success_that_is_not_the_vendors_is_in_doubt(body):
    acs, _ = provider(answer(202, body))

    with pytest.raises(InDoubt, match="malformed_answer"):
        await acs.send(message())


@pytest.mark.parametrize(
    ("status", "kind", "reason", "elsewhere"),
    [
        (400, Rejected, "invalid_address", False),
        (401, Misconfigured, "invalid_sender", None),
        (403, Rejected, "country_not_enabled", True),
        (409, Transient, "provider_unavailable", None),
        (429, Throttled, "too_many_requests", None),
        (503, Transient, "provider_unavailable", None),
    ],
)
async def test_the_recipients_own_status_decides_inside_a_202(status, kind, reason, elsewhere):
    acs, _ = provider(answer(202, item(successful=False, httpStatusCode=status, errorMessage="why")))

    with pytest.raises(kind) as caught:
        await acs.send(message())

    assert caught.value.reason == reason
    assert getattr(caught.value, "elsewhere", None) == elsewhere


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Rejected, "invalid_request"),
        (401, Misconfigured, "authentication_failed"),
        (404, Misconfigured, "invalid_sender"),
        (429, Throttled, "too_many_requests"),
        (500, Transient, "provider_unavailable"),
    ],
)
async def test_the_answers_own_status_decides_otherwise(status, kind, reason):
    acs, _ = provider(answer(status, b"{}", retry_after="60"))

    with pytest.raises(kind) as caught:
        await acs.send(message())

    assert (caught.value.reason, caught.value.retry_after) == (reason, timedelta(seconds=60))


def received(**data):
    event = {
        "eventType": "Microsoft.Communication.SMSDeliveryReportReceived",
        "eventTime": "2026-11-24T12:30:00Z",
        "data": {"tag": ATTEMPT, "messageId": "Outgoing_1", "deliveryStatus": "Failed"} | data,
    }
    return provider()[0].parse(ReceiptRequest("/", {}, {}, orjson.dumps([event])))


@pytest.mark.parametrize(
    ("status", "details", "kind", "reason", "raw"),
    [
        ("Delivered", "No error.", ReceiptKind.DELIVERED, None, "Delivered"),
        ("Delivered", "2000: Message Delivered Successfully.", ReceiptKind.DELIVERED, None, "Delivered"),
        ("Failed", "4004: …", ReceiptKind.BOUNCED, "unknown_number", "Failed:4004"),
        ("Failed", "4007", ReceiptKind.FAILED, "unsubscribed", "Failed:4007"),
        ("Failed", "5002: …", ReceiptKind.DEFERRED, "no_report_from_carrier", "Failed:5002"),
        ("Failed", "nothing known", ReceiptKind.FAILED, None, "Failed"),
        ("Failed", None, ReceiptKind.FAILED, None, "Failed"),
    ],
)
def test_a_report_is_read_by_its_status_and_code(status, details, kind, reason, raw):
    (receipt,) = received(deliveryStatus=status, deliveryStatusDetails=details)

    assert (receipt.kind, receipt.reason, receipt.raw_code) == (kind, reason, raw)
    assert (receipt.attempt_id, receipt.provider_message_id) == (ATTEMPT, "Outgoing_1")


def test_an_unknown_code_is_warned_of_once(caplog):
    (receipt,) = received(deliveryStatusDetails="4999: news")

    assert (receipt.kind, receipt.reason, receipt.raw_code) == (ReceiptKind.FAILED, None, "Failed:4999")
    assert [record.code for record in caplog.records] == ["4999"]


def test_a_report_tells_when_it_happened():
    (receipt,) = received(receivedTimestamp="2026-11-24T12:29:20.2855749Z")

    assert receipt.occurred_at == datetime(2026, 11, 24, 12, 29, 20, 285574, UTC)
    assert received(receivedTimestamp="noon")[0].occurred_at == NOW


def test_a_sender_that_is_none_is_named():
    with pytest.raises(ValueError, match="ACS_SMS_FROM"):
        from_settings(OWN | {"ACS_SMS_FROM": "+0123"}, RecordingClient(), RecordingClient())


async def test_it_reaches_the_numbers_that_it_has_senders_for():
    client = RecordingClient()
    somewhere = from_settings(OWN | {"ACS_SMS_FROM": "+1=+18005550100 +49=Nordlicht"}, client, client)

    french = PhoneNumber("+33612345678")
    assert somewhere.capabilities.refuses(french, SmsContent("x")) == "country_not_enabled"
    assert somewhere.capabilities.refuses(PhoneNumber("+4915112345678"), SmsContent("x")) is None
    with pytest.raises(Rejected, match="country_not_enabled"):
        await somewhere.send(replace(message(), address=french))
    assert client.posted == []


def incoming(**data) -> list[Reply]:
    facts = {"messageId": "in-1", "from": "15005550001", "to": "18005550100", "message": "STOP"}
    facts |= {"receivedTimestamp": "2026-11-24T12:29:00Z"} | data
    event = {"eventType": INCOMING, "eventTime": "2026-11-24T12:30:00Z", "data": facts}
    return list(provider()[0].replies(ReceiptRequest("/", {}, {}, orjson.dumps([event]))))


def test_what_a_customer_wrote_is_a_reply_with_its_own_time():
    [reply] = incoming()

    assert (reply.sender.e164, reply.to, reply.text, reply.message_id) == (
        "+15005550001", "+18005550100", "STOP", "in-1",
    )  # fmt: skip
    assert reply.at.isoformat() == "2026-11-24T12:29:00+00:00"


def test_a_short_code_of_ours_stays_as_it_is_and_one_that_writes_is_no_customer():
    [reply] = incoming(to="12345")

    assert reply.to == "12345"
    assert incoming(**{"from": "12345"}) == []
    assert provider()[0].reply_document("help") is None
