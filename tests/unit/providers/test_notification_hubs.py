import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest

from shared.domain.address import Devices, DeviceToken
from shared.domain.content import PushContent
from shared.domain.errors import InvalidSubmission, Misconfigured, Rejected
from shared.domain.identifiers import AttemptId
from shared.domain.receipt import ReceiptKind
from shared.ports import OutboundMessage, ReceiptRequest
from shared.providers.notification_hubs import NotificationHubs, NotificationHubsSettings, from_settings
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.push.1"
SETTINGS = NotificationHubsSettings(
    "http://127.0.0.1:7080", "Hub", "https://ns.servicebus.windows.net", "name", "key+/=", ("whsec_AAAA",)
)
CONTENT = PushContent("Title", "Body", {"order": "7"})
CREATED = answer(201, location="https://ns.servicebus.windows.net/hub/messages/22-33-1?api-version=2020-06")


def provider(client, now=lambda: NOW) -> NotificationHubs:
    return NotificationHubs(SETTINGS, client, now)


def message(*tokens: str, content=CONTENT) -> OutboundMessage:
    devices = tuple(DeviceToken("apns" if token.startswith("apns") else "fcm", token) for token in tokens)
    return OutboundMessage(AttemptId(ATTEMPT), "push", Devices(devices), content, "transactional")


async def sent(*tokens: str):
    client = RecordingClient(CREATED)
    accepted = await provider(client).send(message(*tokens))
    return accepted, client.posted


async def test_sends_directly_to_a_device():
    accepted, (posted,) = await sent("fcm-1")

    assert accepted.provider_message_id == "22-33-1"
    assert posted.url == "http://127.0.0.1:7080/Hub/messages/?direct&api-version=2020-06"
    assert posted.headers["servicebusnotification-devicehandle"] == "fcm-1"
    assert posted.headers["servicebusnotification-format"] == "fcmv1"
    assert posted.timeout == timedelta(seconds=20)
    assert json.loads(posted.body) == {
        "message": {
            "notification": {"title": "Title", "body": "Body"},
            "data": {"order": "7", "attempt_id": ATTEMPT},
        }
    }


async def test_sends_to_apple_in_apples_form():
    _, (posted,) = await sent("apns-1")

    assert posted.headers["servicebusnotification-format"] == "apple"
    assert json.loads(posted.body) == {
        "aps": {"alert": {"title": "Title", "body": "Body"}},
        "order": "7",
        "attempt_id": ATTEMPT,
    }


async def test_content_can_not_take_the_attempt_ids_place():
    client = RecordingClient(CREATED)
    await provider(client).send(message("fcm-1", content=PushContent("t", "b", {"attempt_id": "x", "aps": "y"})))

    assert json.loads(client.posted[0].body)["message"]["data"]["attempt_id"] == ATTEMPT


@pytest.mark.parametrize("token", ["", "a b", "a\r\nauthorization: x", "tökén", "x" * 5000])
async def test_a_token_that_is_no_header_value_never_leaves(token):
    client = RecordingClient(CREATED)

    with pytest.raises(Rejected, match="invalid_address"):
        await provider(client).send(message(token))

    assert client.posted == []


async def test_a_payload_beyond_the_platforms_limit_never_leaves():
    client = RecordingClient(CREATED)

    with pytest.raises(Rejected, match="content_too_large"):
        await provider(client).send(message("fcm-1", content=PushContent("t", "b" * 4096)))

    assert client.posted == []


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (
            b"<Error><Code>404</Code><Detail>The device handle is unknown.</Detail></Error>",
            Rejected,
            "device_unregistered",
        ),
        (b"<Error><Code>404</Code><Detail>The hub does not exist.</Detail></Error>", Misconfigured, "hub_not_found"),
    ],
)
async def test_a_404_is_a_lost_device_only_when_it_says_so(body, kind, reason):
    with pytest.raises(kind, match=reason):
        await provider(RecordingClient(answer(404, body))).send(message("a"))


async def test_the_token_is_signed_over_the_hubs_address_and_expiry():
    _, (posted,) = await sent("fcm-1")
    scheme, _, rest = posted.headers["authorization"].partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split("&"))

    digest = hmac.new(b"key+/=", f"{parts['sr']}\n{parts['se']}".encode(), hashlib.sha256).digest()
    assert scheme == "SharedAccessSignature"
    assert unquote(parts["sr"]) == "https://ns.servicebus.windows.net/hub"
    assert unquote(parts["sig"]) == base64.b64encode(digest).decode()
    assert (parts["skn"], int(parts["se"])) == ("name", int(NOW.timestamp()) + 3600)


async def test_the_token_is_kept_until_shortly_before_its_end():
    clock = [NOW]
    client = RecordingClient(CREATED)
    hub = provider(client, lambda: clock[0])
    for minutes in (0, 54, 55, 56):
        clock[0] = NOW + timedelta(minutes=minutes)
        await hub.send(message("fcm-1"))

    first, second, third, fourth = (posted.headers["authorization"] for posted in client.posted)
    assert first == second != third == fourth


def configured(**changed):
    settings = {
        "NOTIFICATION_HUBS_HUB": "hub",
        "NOTIFICATION_HUBS_CONNECTION": "Endpoint=sb://ns.example/;SharedAccessKeyName=n;SharedAccessKey=k==",
        "NOTIFICATION_HUBS_RECEIPT_SECRET": "whsec_AAAA",
    }
    return from_settings(settings | changed, RecordingClient(CREATED), RecordingClient())


async def test_the_connection_string_names_the_address_when_nothing_else_does():
    hub = configured()
    client = hub._http
    await hub.send(message("fcm-1"))

    assert client.posted[0].url.startswith("https://ns.example/hub/messages/")


@pytest.mark.parametrize("missing", ["Endpoint", "SharedAccessKeyName", "SharedAccessKey"])
def test_an_incomplete_connection_string_is_named(missing):
    parts = {"Endpoint": "sb://ns.example/", "SharedAccessKeyName": "n", "SharedAccessKey": "k"}
    text = ";".join(f"{name}={value}" for name, value in parts.items() if name != missing)

    with pytest.raises(ValueError, match=f"NOTIFICATION_HUBS_CONNECTION has no {missing}$"):
        configured(NOTIFICATION_HUBS_CONNECTION=text)


def test_a_malformed_receipt_secret_is_refused_at_once():
    with pytest.raises(ValueError, match="NOTIFICATION_HUBS_RECEIPT_SECRET"):
        configured(NOTIFICATION_HUBS_RECEIPT_SECRET="banana")


def read(timestamp="2026-11-24T12:30:00Z", attempt_id=ATTEMPT, **data):
    document = {"type": "push.acknowledged", "timestamp": timestamp, "data": {"attemptId": attempt_id, **data}}
    (receipt,) = provider(RecordingClient()).parse(ReceiptRequest("", {}, {}, json.dumps(document).encode()))
    return receipt


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        ("delivered", ReceiptKind.DELIVERED, None),
        ("failed", ReceiptKind.FAILED, "device_reported_failure"),
        ("opened", ReceiptKind.OPENED, None),
    ],
)
def test_reads_an_acknowledgement(status, kind, reason):
    receipt = read(status=status, notificationId="22-33-1", attempt_id=f"{ATTEMPT}~11")

    assert (receipt.attempt_id, receipt.kind, receipt.reason) == (ATTEMPT, kind, reason)
    assert (receipt.raw_code, receipt.provider_message_id) == (status, "22-33-1")


def test_reads_the_time_of_any_zone():
    assert read("2026-11-24T14:30:00+02:00", status="opened").occurred_at == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [None, 7, "soon", "2026-11-24T12:30:00"])
def test_a_time_without_zone_or_sense_is_malformed(timestamp):
    with pytest.raises(InvalidSubmission):
        read(timestamp, status="opened")


def test_secrets_stay_out_of_representations():
    assert "key+/=" not in repr(replace(SETTINGS, receipt_secrets=("whsec_x",)))
    assert "whsec_x" not in repr(replace(SETTINGS, receipt_secrets=("whsec_x",)))
