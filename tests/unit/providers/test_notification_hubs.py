import base64
import email
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import timedelta, timezone
from urllib.parse import unquote

import pytest

from shared.channels.push import RegisteredDevices
from shared.domain.address import Devices, DeviceToken
from shared.domain.content import PushContent
from shared.domain.errors import Misconfigured, Rejected
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Lane
from shared.ports import OutboundMessage
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


@pytest.mark.parametrize("token", ["", "a b", "a\r\nauthorization: x", "tökén", "x" * 5000])
async def test_a_token_that_is_no_header_value_never_leaves(token):
    client = RecordingClient(CREATED)

    with pytest.raises(Rejected, match="invalid_address"):
        await provider(client).send(message(token))

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


def test_secrets_stay_out_of_representations():
    assert "key+/=" not in repr(replace(SETTINGS, receipt_secrets=("whsec_x",)))
    assert "whsec_x" not in repr(replace(SETTINGS, receipt_secrets=("whsec_x",)))


async def posted_by(hub_settings, message):
    client = RecordingClient(CREATED)
    hub = NotificationHubs(hub_settings, client, lambda: NOW)
    for call in hub.split(message):
        await hub.send(call)
    return client.posted


async def test_each_device_is_a_call_of_its_own():
    posted = await posted_by(SETTINGS, message("fcm-1", "apns-2", "fcm-3"))

    assert [each.headers["servicebusnotification-devicehandle"] for each in posted] == ["fcm-1", "apns-2", "fcm-3"]


def parts_of(posted):
    head = f"content-type: {posted.headers['content-type']}\r\n\r\n".encode()
    parsed = email.message_from_bytes(head + posted.body)
    return {part.get_param("name", header="content-disposition"): part for part in parsed.get_payload()}


async def test_with_batches_each_platform_is_one_call_for_all_its_devices():
    fcm, apns = await posted_by(replace(SETTINGS, sends_batches=True), message("fcm-1", "apns-2", "fcm-3", "apns-4"))

    assert fcm.url == "http://127.0.0.1:7080/Hub/messages/$batch?direct&api-version=2020-06"
    assert [each.headers["servicebusnotification-format"] for each in (fcm, apns)] == ["fcmv1", "apple"]
    assert "servicebusnotification-devicehandle" not in fcm.headers
    parts = parts_of(fcm)
    assert json.loads(parts["devices"].get_payload()) == ["fcm-1", "fcm-3"]
    assert json.loads(parts["notification"].get_payload())["message"]["notification"]["title"] == "Title"
    assert [parts[name].get_content_type() for name in ("notification", "devices")] == ["application/json"] * 2
    assert json.loads(parts_of(apns)["devices"].get_payload()) == ["apns-2", "apns-4"]


async def test_a_batch_of_one_is_a_direct_send():
    [posted] = await posted_by(replace(SETTINGS, sends_batches=True), message("fcm-1"))

    assert posted.url.endswith("/messages/?direct&api-version=2020-06")


async def test_a_bad_token_in_a_batch_never_leaves():
    client = RecordingClient(CREATED)
    hub = NotificationHubs(replace(SETTINGS, sends_batches=True), client, lambda: NOW)

    with pytest.raises(Rejected, match="invalid_address"):
        await hub.send(message("fcm-1", "a b"))

    assert client.posted == []


def to_registered(customer_id="cust-1", attempt=ATTEMPT) -> OutboundMessage:
    return OutboundMessage(AttemptId(attempt), "push", RegisteredDevices(customer_id), CONTENT, "transactional")


async def test_registered_devices_are_reached_by_tags_once_for_each_platform():
    fcm, apns = await posted_by(SETTINGS, to_registered())

    assert fcm.url == "http://127.0.0.1:7080/Hub/messages/?api-version=2020-06"
    assert fcm.headers["servicebusnotification-tags"] == "tenant:acme && customer:cust-1"
    assert [each.headers["servicebusnotification-format"] for each in (fcm, apns)] == ["fcmv1", "apple"]
    assert json.loads(apns.body)["aps"]["alert"]["title"] == "Title"


async def test_with_templates_registered_devices_get_what_fills_in_their_own():
    [posted] = await posted_by(replace(SETTINGS, uses_templates=True), to_registered(attempt=f"{ATTEMPT}~1"))

    assert posted.headers["servicebusnotification-format"] == "template"
    assert posted.headers["servicebusnotification-tags"] == "tenant:acme && customer:cust-1"
    assert json.loads(posted.body) == {
        "title": "Title", "body": "Body", "order": "7", "attempt_id": f"{ATTEMPT}~1"
    }  # fmt: skip


@pytest.mark.parametrize("customer_id", ["", "a b", "a||customer:b", "x" * 120, "ä", "a\r\nb"])
async def test_what_is_no_tag_never_leaves(customer_id):
    client = RecordingClient(CREATED)

    with pytest.raises(Rejected, match="invalid_address"):
        await provider(client).send(replace(to_registered(), address=RegisteredDevices(customer_id, ("fcm",))))

    assert client.posted == []


async def test_urgency_expiry_and_collapsing_travel_as_apples_headers():
    urgent = replace(
        message("apns-1", content=replace(CONTENT, collapse_key="score")),
        lane=Lane.HIGH,
        expires_at=NOW.astimezone(timezone(timedelta(hours=2))),
    )
    [posted] = await posted_by(SETTINGS, urgent)

    assert posted.headers["x-apns-priority"] == "10"
    assert posted.headers["apns-collapse-id"] == "score"
    assert posted.headers["servicebusnotification-apns-expiry"] == "2026-11-24T12:30:00+00:00"


@pytest.mark.parametrize(("setting", "field"), [("BATCHES", "sends_batches"), ("TEMPLATES", "uses_templates")])
@pytest.mark.parametrize(("value", "on"), [("true", True), (" True ", True), ("false", False), ("", False)])
def test_options_are_off_unless_they_are_true(setting, field, value, on):
    assert getattr(configured(**{f"NOTIFICATION_HUBS_{setting}": value})._settings, field) is on
