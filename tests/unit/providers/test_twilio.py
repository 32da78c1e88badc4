import base64
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, parse_qsl, urlencode

import orjson
import pytest
from twilio.request_validator import RequestValidator

from shared.domain.address import PhoneNumber
from shared.domain.content import SmsContent
from shared.domain.errors import InDoubt, Misconfigured, ReceiptNotAuthentic, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.domain.look_up import AttemptInDoubt, NotTaken, Unknown
from shared.domain.receipt import ReceiptKind
from shared.domain.reply import Keyword
from shared.ports import OutboundMessage, ReceiptRequest
from shared.providers.sms_senders import SmsSenders
from shared.providers.twilio import Twilio, TwilioSettings
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = "a&c=me.01ARZ3NDEKTSV4RRFFQ69G5FAV.sms.1"
PATH = "/api/v1/receipts/twilio?attempt_id=a%26c%3Dme.01ARZ3NDEKTSV4RRFFQ69G5FAV.sms.1"
SERVICE = "MG0123456789abcdef0123456789abcdef"
SENDERS = SmsSenders({"": ["+15017250604"]})
SETTINGS = TwilioSettings("https://api.example", "AC1", "token", SENDERS, "https://notify.example.com")
DOUBT = AttemptInDoubt(AttemptId(ATTEMPT), PhoneNumber("+15005550006"), NOW)
CREATED = answer(201, b'{"sid":"SM1"}')


def provider(client=None, **changed) -> Twilio:
    return Twilio(replace(SETTINGS, **changed), client or RecordingClient(CREATED), lambda: NOW)


def message(text="Hi & héllo +1") -> OutboundMessage:
    return OutboundMessage(AttemptId(ATTEMPT), "sms", PhoneNumber("+15005550006"), SmsContent(text), "transactional")


async def sent(**changed):
    client = RecordingClient(CREATED)
    await provider(client, **changed).send(message())
    return client.posted[0]


async def test_posts_a_form_to_the_accounts_messages():
    posted = await sent()

    assert posted.url == "https://api.example/2010-04-01/Accounts/AC1/Messages.json"
    assert posted.headers["authorization"] == "Basic " + base64.b64encode(b"AC1:token").decode()
    assert posted.headers["content-type"] == "application/x-www-form-urlencoded"
    assert posted.timeout == timedelta(seconds=20)
    assert dict(parse_qsl(posted.body.decode())) == {
        "To": "+15005550006",
        "From": "+15017250604",
        "Body": "Hi & héllo +1",
        "StatusCallback": f"https://notify.example.com{PATH}",
    }


async def test_the_callback_leads_back_to_the_attempt():
    callback = parse_qs((await sent()).body.decode())["StatusCallback"][0]

    assert parse_qs(callback.partition("?")[2]) == {"attempt_id": [ATTEMPT]}


async def test_a_messaging_service_takes_the_senders_place():
    form = dict(parse_qsl((await sent(senders=SmsSenders({"": [SERVICE]}))).body.decode()))

    assert form["MessagingServiceSid"] == SERVICE
    assert "From" not in form


async def test_a_number_that_no_sender_is_meant_for_is_left_to_another_provider():
    client = RecordingClient(CREATED)
    somewhere = provider(client, senders=SmsSenders({"+49": ["Nordlicht"]}))

    with pytest.raises(Rejected) as caught:
        await somewhere.send(message())

    assert (caught.value.reason, caught.value.elsewhere) == ("country_not_enabled", True)
    assert somewhere.capabilities.number_prefixes == ("+49",)
    assert client.posted == []


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (400, 21211, Rejected, "invalid_address"),
        (400, 21614, Rejected, "not_a_mobile_number"),
        (400, 21610, Rejected, "unsubscribed"),
        (400, 21408, Rejected, "country_not_enabled"),
        (400, 21612, Rejected, "unreachable_from_sender"),
        (400, 21635, Rejected, "not_a_mobile_number"),
        (400, 21601, Misconfigured, "invalid_sender"),
        (400, 21730, Transient, "provider_unavailable"),
        (429, 63017, Throttled, "too_many_requests"),
        (400, 30001, Throttled, "sender_queue_full"),
        (400, 21617, Rejected, "content_too_large"),
        (400, 21606, Misconfigured, "invalid_sender"),
        (400, 21611, Throttled, "sender_queue_full"),
        (401, 20003, Misconfigured, "authentication_failed"),
        (429, 20429, Throttled, "too_many_requests"),
        (400, 99999, Rejected, "invalid_request"),
        (403, 99999, Misconfigured, "permission_refused"),
    ],
)
async def test_a_failure_is_judged_by_its_code(status, code, kind, reason):
    client = RecordingClient(answer(status, b'{"code":%d}' % code, retry_after="3"))

    with pytest.raises(kind) as caught:
        await provider(client).send(message())

    assert caught.value.reason == reason
    assert caught.value.retry_after == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("code", "elsewhere"), [(21408, True), (21612, True), (21610, False), (21211, False), (21614, False)]
)
async def test_what_only_this_account_or_sender_can_not_do_another_may(code, elsewhere):
    with pytest.raises(Rejected) as caught:
        await provider(RecordingClient(answer(400, b'{"code":%d}' % code))).send(message())

    assert caught.value.elsewhere == elsewhere


def messages_of(*minutes_ago: float) -> bytes:
    created = [format_datetime(NOW - timedelta(minutes=each)) for each in minutes_ago]
    return orjson.dumps({"messages": [{"date_created": each, "body": "private"} for each in created]})


@pytest.mark.parametrize(
    ("minutes_ago", "finding"),
    [
        ((), NotTaken()),
        ((3,), NotTaken()),
        ((3, 60, 600), NotTaken()),
        ((1.9,), Unknown()),
        ((-0.5, 3), Unknown()),
        ((60, 3), Unknown()),  # not newest first: who knows what is behind
    ],
)
async def test_that_nothing_went_to_the_number_since_is_all_that_a_look_up_can_tell(minutes_ago, finding):
    client = RecordingClient(answer(200, messages_of(*minutes_ago)))

    assert await provider(client).find_attempt(DOUBT) == finding
    (asked,) = client.posted
    assert (asked.method, asked.url) == (
        "GET",
        "https://api.example/2010-04-01/Accounts/AC1/Messages.json?To=%2B15005550006&PageSize=5",
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"messages":[1]}', b'{"messages":[{}]}', b'{"messages":[{"date_created":"yesterday"}]}'],
)
async def test_a_list_that_can_not_be_read_tells_nothing(body):
    assert await provider(RecordingClient(answer(200, body))).find_attempt(DOUBT) == Unknown()


async def test_a_look_up_that_fails_says_why():
    with pytest.raises(Misconfigured):
        await provider(RecordingClient(answer(401, b'{"code":20003}'))).find_attempt(DOUBT)


@pytest.mark.parametrize("body", [b"{}", b'{"sid":null}', b'{"sid":7}'])
async def test_created_without_a_sid_is_accepted_under_the_attempt_alone(body):
    accepted = await provider(RecordingClient(answer(201, body))).send(message())

    assert accepted.provider_message_id is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
async def test_created_with_an_answer_that_is_not_twilios_is_in_doubt(body):
    with pytest.raises(InDoubt, match="malformed_answer"):
        await provider(RecordingClient(answer(201, body))).send(message())


FIELDS = {"MessageStatus": "delivered", "MessageSid": "SM1", "To": "+15005550006", "Empty": "", "Ümlaut": "ä b"}


def signed(url: str, fields=FIELDS) -> ReceiptRequest:
    signature = RequestValidator("token").compute_signature(url, fields)
    return ReceiptRequest(PATH, {"attempt_id": ATTEMPT}, {"x-twilio-signature": signature}, urlencode(fields).encode())


@pytest.mark.parametrize("origin", ["https://notify.example.com", "https://notify.example.com:443"])
def test_accepts_what_the_vendors_validator_accepts(origin):
    request = signed(origin + PATH)

    provider().verify(request, NOW)

    signature = request.headers["x-twilio-signature"]
    assert RequestValidator("token").validate(f"https://notify.example.com{PATH}", FIELDS, signature)


def test_accepts_a_public_address_with_a_port_of_its_own():
    provider(public_base_url="http://127.0.0.1:7071").verify(signed(f"http://127.0.0.1:7071{PATH}"), NOW)


@pytest.mark.parametrize(
    "origin", ["http://notify.example.com", "https://evil.example", "https://notify.example.com:8443"]
)
def test_another_address_is_a_forgery(origin):
    with pytest.raises(ReceiptNotAuthentic):
        provider().verify(signed(origin + PATH), NOW)


def test_another_accounts_signature_is_a_forgery():
    with pytest.raises(ReceiptNotAuthentic):
        provider(auth_token="other").verify(signed(f"https://notify.example.com{PATH}"), NOW)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 200])
def test_a_body_that_is_no_form_is_a_forgery(body):
    with pytest.raises(ReceiptNotAuthentic):
        provider().verify(replace(signed(f"https://notify.example.com{PATH}"), body=body), NOW)


def read(**fields):
    body = urlencode({"MessageSid": "SM1", **fields}).encode()
    (receipt,) = provider().parse(ReceiptRequest(PATH, {"attempt_id": ATTEMPT}, {}, body))
    return receipt


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        ("queued", None, ReceiptKind.DEFERRED, None),
        ("sending", None, ReceiptKind.DEFERRED, None),
        ("sent", None, ReceiptKind.SENT, None),
        ("delivered", None, ReceiptKind.DELIVERED, None),
        ("read", None, ReceiptKind.OPENED, None),
        ("undelivered", "30003", ReceiptKind.BOUNCED, "unreachable"),
        ("undelivered", "30007", ReceiptKind.BOUNCED, "filtered_by_carrier"),
        ("undelivered", "30006", ReceiptKind.BOUNCED, "not_a_mobile_number"),
        ("failed", "30008", ReceiptKind.FAILED, "unknown_error"),
        ("failed", "21610", ReceiptKind.FAILED, "unsubscribed"),
        ("failed", "31999", ReceiptKind.FAILED, "twilio_31999"),
        ("failed", "", ReceiptKind.FAILED, None),
        ("canceled", None, ReceiptKind.FAILED, None),
    ],
)
def test_reads_status_and_code(status, code, kind, reason):
    receipt = read(MessageStatus=status, **({} if code is None else {"ErrorCode": code}))

    assert (receipt.kind, receipt.reason) == (kind, reason)
    assert receipt.raw_code == (f"{status}:{code}" if code else status)
    assert (receipt.attempt_id, receipt.provider_message_id, receipt.occurred_at) == (ATTEMPT, "SM1", NOW)


def test_an_unknown_code_is_warned_of_once(caplog):
    read(MessageStatus="failed", ErrorCode="31999")

    assert [record.code for record in caplog.records] == ["31999"]


def test_secrets_stay_out_of_representations():
    assert "token" not in repr(SETTINGS).replace("auth_token", "")


def incoming(**changed) -> ReceiptRequest:
    fields = {
        "MessageSid": "SM2",
        "AccountSid": "AC1",
        "From": "+15005550001",
        "To": "+15017250604",
        "Body": "Stop",
        "SmsStatus": "received",
        "NumMedia": "0",
    }
    body = urlencode({name: value for name, value in (fields | changed).items() if value is not None}).encode()
    return ReceiptRequest("/api/v1/receipts/twilio", {}, {}, body)


def test_an_incoming_message_is_a_reply_and_no_receipt():
    [reply] = provider().replies(incoming())

    assert (reply.sender.e164, reply.to, reply.text, reply.at) == ("+15005550001", "+15017250604", "Stop", NOW)
    assert (reply.message_id, reply.keyword) == ("SM2", None)
    assert provider().parse(incoming()) == []
    assert "+15005550001" not in repr(reply)


def test_what_twilio_understood_itself_needs_no_reading():
    [reply] = provider().replies(incoming(Body="no more!", OptOutType="STOP"))

    assert reply.keyword is Keyword.STOP


@pytest.mark.parametrize("changed", [{"MessageStatus": "delivered"}, {"Body": None}, {"From": "12345"}, {"From": None}])
def test_what_no_customer_wrote_is_no_reply(changed):
    assert provider().replies(incoming(**changed)) == []


def test_an_answer_to_the_customer_is_escaped_and_may_be_left_out():
    assert b"<Message>a &lt;b&gt; &amp; c</Message>" in provider().reply_document("a <b> & c")[0]
    assert b"Message" not in provider().reply_document(None)[0]
