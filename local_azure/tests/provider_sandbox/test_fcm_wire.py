"""Firebase's side: a token for a signed assertion, pushes by it, errors with their codes, and the acknowledgement."""

from __future__ import annotations

import time

import jwt
import pytest

from .conftest import FCM_KEY, eventually

SEND = "/v1/projects/acme/messages:send"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def assertion(**changed):
    now = int(time.time())
    claims = {
        "iss": "push@acme.example",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    }
    return jwt.encode(claims | changed, FCM_KEY, algorithm="RS256")


@pytest.fixture
def bearer(sandbox):
    granted = sandbox.post("/token", data={"grant_type": GRANT, "assertion": assertion()}).json()
    assert granted["token_type"] == "Bearer"
    assert granted["expires_in"] > 3000
    return {"Authorization": f"Bearer {granted['access_token']}"}


def acknowledgements(service):
    return [post.json()["data"] for post in service.arrived if post.path == "/api/v1/receipts/fcm"]


def push(device="device-1", **more):
    said = {"notification": {"title": "Order", "body": "On its way"}, "data": {"attempt_id": "att-1"}}
    return {"message": {"token": device, **said, **more}}


def test_a_push_is_taken_and_acknowledged_by_the_device(sandbox, service, bearer):
    answer = sandbox.post(SEND, json=push(), headers=bearer)

    name = answer.json()["name"]
    assert answer.status_code == 200
    assert name.startswith("projects/acme/messages/0:")
    told = {"attemptId": "att-1", "notificationId": name.rpartition("/")[2], "status": "delivered"}
    assert eventually(lambda: told in acknowledgements(service))
    shown = sandbox.messages(channel="push")[0]
    assert (shown["provider"], shown["content"]["title"]) == ("fcm", "Order")


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "password"},
        {"grant_type": GRANT},
        {"grant_type": GRANT, "assertion": "x.y.z"},
        {"grant_type": GRANT, "assertion": assertion(aud="https://elsewhere.example")},
        {"grant_type": GRANT, "assertion": assertion(exp=1)},
    ],
)
def test_no_token_without_a_signed_and_fresh_assertion(sandbox, form):
    answer = sandbox.post("/token", data=form)

    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "unsupported_grant_type"}


@pytest.mark.parametrize("authorization", ["", "Bearer x", "Bearer ya29.9999999999.00", "Bearer ya29.1.00"])
def test_no_push_without_a_token(sandbox, authorization):
    answer = sandbox.post(SEND, json=push(), headers={"Authorization": authorization})

    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert sandbox.ledger()[-1]["outcome"] == "unauthorized"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "message.token"),
        (push(device=""), "message.token"),
        (push(data={"n": 1}), "message.data[0].value"),
        (push(notification="x"), "message.notification"),
        (push(android={"ttl": "soon"}), "message.android.ttl"),
        (push(data={"x": "y" * 4096}), "message"),
    ],
)
def test_an_invalid_argument_is_named(sandbox, bearer, message, field):
    answer = sandbox.post(SEND, json=message, headers=bearer)

    by_type = {detail["@type"].rpartition(".")[2]: detail for detail in answer.json()["error"]["details"]}
    assert answer.status_code == 400
    assert by_type["FcmError"]["errorCode"] == "INVALID_ARGUMENT"
    assert by_type["BadRequest"]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize(
    ("device", "status", "code"),
    [
        ("gone-1", 404, "UNREGISTERED"),
        ("reject-1", 400, "INVALID_ARGUMENT"),
        ("overloaded-1", 429, "QUOTA_EXCEEDED"),
        ("unavailable-1", 503, "UNAVAILABLE"),
    ],
)
def test_magic_devices_fail_with_the_vendors_codes(sandbox, bearer, device, status, code):
    answer = sandbox.post(SEND, json=push(device), headers=bearer)

    assert answer.status_code == status
    assert answer.json()["error"]["details"][0]["errorCode"] == code


def test_a_bounced_device_is_reported_by_the_backend(sandbox, service, bearer):
    answer = sandbox.post(SEND, json=push("bounce-1"), headers=bearer)

    told = {"attemptId": "att-1", "notificationId": answer.json()["name"].rpartition("/")[2], "status": "failed"}
    assert eventually(lambda: told in acknowledgements(service))
