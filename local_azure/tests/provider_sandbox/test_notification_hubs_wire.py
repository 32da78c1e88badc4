"""The Notification Hubs side: direct send with a SAS token, telemetry, and the device's acknowledgement."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import quote_plus

import pytest

from .conftest import WEBHOOK_SECRET, eventually

SEND = "/cns/messages/?direct&api-version=2015-04"
FCM = {"message": {"notification": {"title": "Order", "body": "On its way"}, "data": {"attempt_id": "att-1"}}}
APPLE = {"aps": {"alert": {"title": "Order", "body": "On its way"}}, "attempt_id": "att-2"}


def sas_token(key="hub-key", key_name="Full", lifetime=3600, resource="https://x.example/cns"):
    resource, expiry = quote_plus(resource.lower()), str(int(time.time()) + lifetime)
    signature = base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256))
    return f"SharedAccessSignature sr={resource}&sig={quote_plus(signature)}&se={expiry}&skn={key_name}"


def headers(platform="fcmv1", handle="device-1", token=None):
    return {
        "Authorization": token or sas_token(),
        "Content-Type": "application/json;charset=utf-8",
        "ServiceBusNotification-Format": platform,
        "ServiceBusNotification-DeviceHandle": handle,
    }


@pytest.mark.parametrize(("platform", "payload", "attempt"), [("fcmv1", FCM, "att-1"), ("apple", APPLE, "att-2")])
def test_a_direct_send_is_acknowledged_by_the_device(sandbox, service, platform, payload, attempt):
    answer = sandbox.post(SEND, json=payload, headers=headers(platform))
    eventually(lambda: service.arrived)

    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["TrackingId"]
    notification_id = answer.headers["Location"].partition("/messages/")[2].partition("?")[0]
    post = service.arrived[0]
    assert post.path == "/api/v1/receipts/notification_hubs"
    assert post.json()["type"] == "push.acknowledged"
    assert post.json()["data"] == {"attemptId": attempt, "notificationId": notification_id, "status": "delivered"}
    assert post.headers["webhook-signature"] == standard_webhooks_signature(post)
    shown = sandbox.messages(channel="push")[0]
    assert (shown["content"]["title"], shown["content"]["body"]) == ("Order", "On its way")


def standard_webhooks_signature(post):
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def test_telemetry_tells_what_became_of_a_notification(sandbox, service):
    sent = sandbox.post(SEND, json=FCM, headers=headers(handle="bounce-1"))
    path = "/cns/messages/" + sent.headers["Location"].partition("/messages/")[2]

    telemetry = eventually(lambda: _completed(sandbox, path))

    assert "<State>Completed</State>" in telemetry
    assert "<FcmV1OutcomeCounts><Outcome><Name>BadChannel</Name><Count>1</Count></Outcome>" in telemetry


def _completed(sandbox, path):
    text = sandbox.get(path, headers={"Authorization": sas_token()}).text
    return text if "Completed" in text else None


def test_an_unknown_notification_has_no_telemetry(sandbox):
    answer = sandbox.get("/cns/messages/none?api-version=2016-07", headers={"Authorization": sas_token()})

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "token",
    [
        "none",
        "SharedAccessSignature sr=x",
        sas_token(key="other"),
        sas_token(key_name="Other"),
        sas_token(lifetime=-5),
        sas_token(resource="https://x.example/another"),
    ],
)
def test_a_token_that_does_not_open_the_hub_is_refused(sandbox, token):
    answer = sandbox.post(SEND, json=FCM, headers=headers(token=token))

    assert answer.status_code == 401
    assert answer.text.startswith("<Error><Code>401</Code><Detail>")
    assert sandbox.ledger()[-1]["outcome"] == "unauthorized"


def test_a_token_for_the_namespace_opens_its_hubs(sandbox):
    token = sas_token(resource="sb://x.example/")

    assert sandbox.post(SEND, json=FCM, headers=headers(token=token)).status_code == 201


@pytest.mark.parametrize(
    ("path", "change", "body", "status"),
    [
        ("/cns/messages/?api-version=2015-04", {}, FCM, 400),
        ("/cns/messages/?direct", {}, FCM, 400),
        (SEND, {"ServiceBusNotification-DeviceHandle": ""}, FCM, 400),
        (SEND, {"ServiceBusNotification-Format": "gcm"}, FCM, 400),
        (SEND, {}, APPLE, 400),
        (SEND, {"ServiceBusNotification-Format": "apple"}, FCM, 400),
        (SEND, {}, {"message": {"data": {"x": "y" * 4096}}}, 413),
    ],
)
def test_a_wrong_send_is_refused(sandbox, path, change, body, status):
    assert sandbox.post(path, json=body, headers=headers() | change).status_code == status


@pytest.mark.parametrize(("handle", "status"), [("gone-1", 410), ("overloaded-1", 429), ("unavailable-1", 503)])
def test_refusals_have_the_services_shape(sandbox, handle, status):
    answer = sandbox.post(SEND, json=FCM, headers=headers(handle=handle))

    assert answer.status_code == status
    assert f"<Code>{status}</Code>" in answer.text
    assert ("Retry-After" in answer.headers) == (status == 429)


BOUNDARY = "parts"


def told_of(service, notification_id):
    told = [post.json()["data"] for post in service.arrived if post.path == "/api/v1/receipts/notification_hubs"]
    return [data for data in told if data["notificationId"] == notification_id]


def batch(handles, payload=FCM, platform="fcmv1"):
    body = "\r\n".join(
        [
            f"--{BOUNDARY}", "content-type: application/json", "content-disposition: inline; name=notification", "",
            json.dumps(payload),
            f"--{BOUNDARY}", "content-type: application/json", "content-disposition: inline; name=devices", "",
            json.dumps(handles), f"--{BOUNDARY}--", "",
        ]
    )  # fmt: skip
    sent = {
        "Authorization": sas_token(),
        "Content-Type": f'multipart/mixed; boundary="{BOUNDARY}"',
        "ServiceBusNotification-Format": platform,
    }
    return {"data": body.encode(), "headers": sent}


def test_a_batch_reaches_every_device_of_it(sandbox, service):
    answer = sandbox.post("/cns/messages/$batch?direct&api-version=2020-06", **batch(["d-1", "d-2", "bounce-3"]))
    sent = answer.headers["Location"].partition("/messages/")[2].partition("?")[0]
    eventually(lambda: len(told_of(service, sent)) == 3)

    assert answer.status_code == 201
    assert {each["recipient"] for each in sandbox.messages(channel="push")[:3]} == {"d-1", "d-2", "bounce-3"}
    told = sorted((data["attemptId"], data["status"]) for data in told_of(service, sent))
    assert told == [("att-1", "delivered"), ("att-1~1", "delivered"), ("att-1~2", "failed")]


@pytest.mark.parametrize("handles", [[], "x", [1], ["d"] * 1001])
def test_a_batch_without_device_handles_is_refused(sandbox, handles):
    answer = sandbox.post("/cns/messages/$batch?direct&api-version=2020-06", **batch(handles))

    assert answer.status_code == 400


def tagged(platform, tags="tenant:acme && customer:cust-1"):
    sent = headers(platform) | {"ServiceBusNotification-Tags": tags}
    del sent["ServiceBusNotification-DeviceHandle"]
    return sent


@pytest.mark.parametrize(
    ("platform", "payload"),
    [("apple", APPLE), ("template", {"title": "Order", "body": "On its way", "attempt_id": "att-2"})],
)
def test_tags_reach_the_customers_devices(sandbox, service, platform, payload):
    answer = sandbox.post("/cns/messages/?api-version=2020-06", json=payload, headers=tagged(platform))
    sent = answer.headers["Location"].partition("/messages/")[2].partition("?")[0]
    eventually(lambda: told_of(service, sent))

    assert answer.status_code == 201
    shown = sandbox.messages(channel="push")[0]
    assert (shown["recipient"], shown["content"]["title"]) == ("cust-1", "Order")
    assert told_of(service, sent)[0]["attemptId"] == "att-2"


def test_neither_device_nor_tag_is_nobody(sandbox):
    answer = sandbox.post("/cns/messages/?api-version=2020-06", json=FCM, headers=tagged("fcmv1", tags=""))

    assert answer.status_code == 400


def test_a_template_does_not_go_to_a_device(sandbox):
    answer = sandbox.post(SEND, json={"title": "x"}, headers=headers("template"))

    assert answer.status_code == 400
