import json
from urllib.parse import parse_qs

import pytest

from shared.channels.whatsapp import WhatsAppContent
from shared.domain.address import PhoneNumber
from shared.domain.errors import Rejected
from shared.domain.identifiers import AttemptId
from shared.domain.look_up import AttemptInDoubt, NotTaken
from shared.domain.receipt import ReceiptKind
from shared.ports import OutboundMessage, ReceiptRequest
from shared.providers import twilio, twilio_whatsapp
from shared.providers.twilio_whatsapp import from_settings
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

SERVICE = "MG" + "0a" * 16
ATTEMPT = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.whatsapp.1"
SETTINGS = {
    "TWILIO_WHATSAPP_BASE_URL": "https://api.example",
    "TWILIO_WHATSAPP_ACCOUNT_SID": "AC1",
    "TWILIO_WHATSAPP_AUTH_TOKEN": "secret-token",
    "TWILIO_WHATSAPP_FROM_NUMBER": "+14155238886",
    "PUBLIC_BASE_URL": "https://notify.example",
}
CREATED = answer(201, b'{"sid":"SM7","status":"queued"}')


async def posted(content: WhatsAppContent, **changed: str) -> dict[str, str]:
    client = RecordingClient(CREATED)
    whatsapp = from_settings(SETTINGS | changed, client, RecordingClient())
    message = OutboundMessage(AttemptId(ATTEMPT), "whatsapp", PhoneNumber("+4915112345678"), content, "transactional")
    assert (await whatsapp.send(message)).provider_message_id == "SM7"
    assert client.posted[0].url == "https://api.example/2010-04-01/Accounts/AC1/Messages.json"
    return {name: values[0] for name, values in parse_qs(client.posted[0].body.decode(), strict_parsing=True).items()}


async def test_a_text_goes_from_and_to_whatsapp_numbers():
    assert await posted(WhatsAppContent("Grüß dich")) == {
        "To": "whatsapp:+4915112345678",
        "From": "whatsapp:+14155238886",
        "Body": "Grüß dich",
        "StatusCallback": f"https://notify.example/api/v1/receipts/twilio_whatsapp?attempt_id={ATTEMPT}",
    }


async def test_an_approved_template_goes_by_its_sid_with_its_variables():
    form = await posted(WhatsAppContent(None, "HX1", {"1": "Ada", "2": "ü"}))

    assert form["ContentSid"] == "HX1"
    assert json.loads(form["ContentVariables"]) == {"1": "Ada", "2": "ü"}
    assert "Body" not in form


async def test_a_messaging_service_may_send():
    form = await posted(WhatsAppContent("Hi"), TWILIO_WHATSAPP_FROM_NUMBER=SERVICE)

    assert form["MessagingServiceSid"] == SERVICE
    assert "From" not in form


@pytest.mark.parametrize("code", twilio_whatsapp.CODES)
async def test_reads_every_code_of_whatsapp(code):
    kind, reason = twilio_whatsapp.CODES[code]
    refused = answer(400, json.dumps({"code": code, "message": "x"}).encode())
    whatsapp = from_settings(SETTINGS, RecordingClient(refused), RecordingClient())
    message = OutboundMessage(
        AttemptId(ATTEMPT), "whatsapp", PhoneNumber("+4915112345678"), WhatsAppContent("a"), "security"
    )

    with pytest.raises(kind) as caught:
        await whatsapp.send(message)

    assert caught.value.reason == reason


async def test_twilios_own_codes_mean_what_they_mean_for_sms():
    refused = answer(400, b'{"code":21610}')
    whatsapp = from_settings(SETTINGS, RecordingClient(refused), RecordingClient())
    message = OutboundMessage(
        AttemptId(ATTEMPT), "whatsapp", PhoneNumber("+4915112345678"), WhatsAppContent("a"), "security"
    )

    with pytest.raises(Rejected, match=twilio.CODES[21610][1]):
        await whatsapp.send(message)


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        ("MessageStatus=read", ReceiptKind.OPENED, None),
        ("MessageStatus=delivered", ReceiptKind.DELIVERED, None),
        ("MessageStatus=undelivered&ErrorCode=63016", ReceiptKind.BOUNCED, "template_required"),
        ("MessageStatus=failed&ErrorCode=63032", ReceiptKind.FAILED, "unreachable"),
        ("MessageStatus=undelivered&ErrorCode=30003", ReceiptKind.BOUNCED, "unreachable"),
    ],
)
def test_reads_status_callbacks(body, kind, reason, caplog):
    whatsapp = from_settings(SETTINGS, RecordingClient(), RecordingClient())

    [receipt] = whatsapp.parse(ReceiptRequest("", {"attempt_id": ATTEMPT}, {}, f"{body}&MessageSid=SM7".encode()))

    assert (receipt.attempt_id, receipt.kind, receipt.reason) == (ATTEMPT, kind, reason)
    assert caplog.records == []


def test_it_works_without_twilios_sms_and_keeps_its_secret():
    whatsapp = from_settings(SETTINGS, RecordingClient(), RecordingClient())

    assert (whatsapp.name, whatsapp.channel) == ("twilio_whatsapp", "whatsapp")
    assert "secret-token" not in repr(whatsapp)


async def test_a_look_up_asks_for_the_number_on_whatsapp():
    asked = []

    class Looked(RecordingClient):
        async def get(self, url, *, headers, timeout):
            asked.append(url)
            return answer(200, b'{"messages":[]}')

    whatsapp = from_settings(SETTINGS, Looked(), RecordingClient())
    attempt = AttemptInDoubt(AttemptId(ATTEMPT), PhoneNumber("+4915112345678"), NOW)

    assert await whatsapp.find_attempt(attempt) == NotTaken()
    assert parse_qs(asked[0].partition("?")[2])["To"] == ["whatsapp:+4915112345678"]


def test_what_a_customer_writes_on_whatsapp_is_a_reply_by_number():
    body = b"From=whatsapp%3A%2B4915112345678&To=whatsapp%3A%2B14155238886&Body=STOP&MessageSid=SM1"
    whatsapp = from_settings(SETTINGS, RecordingClient(), RecordingClient())

    [reply] = whatsapp.replies(ReceiptRequest("/", {}, {}, body))

    assert (reply.sender.e164, reply.to, reply.text) == ("+4915112345678", "+14155238886", "STOP")
