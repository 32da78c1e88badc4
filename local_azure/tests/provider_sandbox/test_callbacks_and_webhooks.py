"""The consumer's callback endpoint and the customer's webhook endpoint."""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal
import socket
import time

import pytest
import requests

from .conftest import WEBHOOK_SECRET

BODY = b'{"type":"notification.sent"}'


def signed_headers(webhook_id="msg_1", secret=WEBHOOK_SECRET, timestamp=None, body=BODY):
    timestamp = str(timestamp or int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(
        hmac.digest(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    ).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,AAAA v1,{signature}",
    }


@pytest.fixture
def endpoint(sandbox, request):
    name = f"/callbacks/{request.node.name[:60]}"
    sandbox.delete(name)
    return name


def test_a_callback_is_kept_as_it_came(sandbox, endpoint):
    answer = sandbox.post(endpoint, data=BODY, headers=signed_headers())

    (kept,) = sandbox.get(endpoint).json()
    assert answer.status_code == 200
    assert kept["body"] == BODY.decode()
    assert kept["headers"]["webhook-id"] == "msg_1"
    assert kept["receivedAt"].endswith("Z")
    assert (kept["signature"], kept["answered"]) == ("unchecked", "200")


def test_signatures_are_judged_once_the_secret_is_known(sandbox, endpoint):
    sandbox.post(endpoint, data=BODY, headers=signed_headers())
    sandbox.post(endpoint, data=BODY + b" ", headers=signed_headers())
    sandbox.post(endpoint, data=BODY, headers=signed_headers(timestamp=int(time.time()) - 301))
    sandbox.post(endpoint, data=BODY)

    assert sandbox.put(f"{endpoint}/secret", {"secret": WEBHOOK_SECRET}).status_code == 204

    judged = [kept["signature"] for kept in sandbox.get(endpoint).json()]
    assert judged == ["verified", "forged", "forged", "forged"]


@pytest.mark.parametrize("secret", ["whsec_***", "whsec_", 5, None])
def test_a_secret_that_is_none_is_refused(sandbox, endpoint, secret):
    assert sandbox.put(f"{endpoint}/secret", {"secret": secret}).status_code == 400


def test_delete_forgets(sandbox, endpoint):
    sandbox.post(endpoint, data=BODY)

    assert sandbox.delete(endpoint).status_code == 204
    assert sandbox.get(endpoint).json() == []


@pytest.mark.parametrize(
    ("behaviour", "statuses"),
    [
        ({"mode": "status", "status": 500, "count": 2}, [500, 500, 200]),
        ({"status": 503}, [503, 503, 503]),
        ({"mode": "gone"}, [410, 410, 410]),
        ({"mode": "redirect", "count": 1}, [302, 200, 200]),
        ({"mode": "ok"}, [200, 200, 200]),
    ],
)
def test_an_endpoint_misbehaves_as_asked(sandbox, endpoint, behaviour, statuses):
    assert sandbox.put(f"{endpoint}/behaviour", behaviour).status_code == 200

    answered = [sandbox.post(endpoint, data=BODY, allow_redirects=False).status_code for _ in statuses]

    assert answered == statuses
    assert len(sandbox.get(endpoint).json()) == len(statuses)


def test_an_endpoint_can_hang_and_cut(sandbox, endpoint):
    sandbox.put(f"{endpoint}/behaviour", {"mode": "hang"})
    with pytest.raises(requests.ReadTimeout):
        requests.post(sandbox.url + endpoint, data=BODY, timeout=0.2)
    sandbox.put(f"{endpoint}/behaviour", {"mode": "reset"})
    with pytest.raises(requests.ConnectionError):
        sandbox.post(endpoint, data=BODY)

    assert [kept["answered"] for kept in sandbox.get(endpoint).json()] == ["hang", "reset"]


def test_an_endpoint_can_answer_too_much_or_too_slowly(sandbox, endpoint):
    sandbox.put(f"{endpoint}/behaviour", {"mode": "large"})
    assert len(sandbox.post(endpoint, data=BODY).content) == 10 * 1024 * 1024

    sandbox.put(f"{endpoint}/behaviour", {"mode": "drip"})
    answer = sandbox.post(endpoint, data=BODY, stream=True)
    assert answer.raw.read(1) == b"."
    answer.close()


@pytest.mark.parametrize(
    "behaviour", [[], {"mode": "dance"}, {"mode": "status"}, {"status": 99}, {"status": 500, "count": 0}, {"stat": 500}]
)
def test_a_behaviour_that_makes_no_sense_is_refused(sandbox, endpoint, behaviour):
    assert sandbox.put(f"{endpoint}/behaviour", behaviour).status_code == 400


def test_callbacks_and_secrets_survive_a_kill(start):
    sandbox = start()
    sandbox.put("/callbacks/a/secret", {"secret": WEBHOOK_SECRET})
    sandbox.post("/callbacks/a", data=BODY, headers=signed_headers())
    sandbox.post("/callbacks/b", data=BODY)
    sandbox.delete("/callbacks/b")
    sandbox.end(signal.SIGKILL)

    again = start()

    assert [kept["signature"] for kept in again.get("/callbacks/a").json()] == ["verified"]
    assert again.get("/callbacks/b").json() == []


def test_a_webhook_recipient_shows_what_it_got(sandbox):
    answer = sandbox.post("/webhooks/customer-7", data=BODY, headers=signed_headers(webhook_id="att-9"))

    (shown,) = sandbox.messages(channel="webhook")
    assert answer.status_code == 200
    assert (shown["recipient"], shown["attemptId"]) == ("customer-7", "att-9")
    assert shown["content"]["json"] == {"type": "notification.sent"}
    assert shown["content"]["signature"] == "verified"
    last = sandbox.ledger()[-1]
    assert (last["provider"], last["attemptId"], last["bodyDigest"]) == (
        "webhook",
        "att-9",
        hashlib.sha256(BODY).hexdigest(),
    )


@pytest.mark.parametrize(("name", "status"), [("gone", 410), ("redirect", 302), ("reject", 400), ("overloaded", 429)])
def test_a_webhook_recipient_can_refuse(sandbox, name, status):
    answer = sandbox.post(f"/webhooks/{name}", data=BODY, allow_redirects=False)

    assert answer.status_code == status


def test_a_half_sent_request_keeps_nobody_waiting(sandbox):
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as slow:
        slow.sendall(b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")

        assert sandbox.get("/health").status_code == 200
