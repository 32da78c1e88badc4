"""Slack's side: an incoming webhook says ok, or a word, and nobody reports later."""

from __future__ import annotations

import pytest

from .conftest import eventually

HOOK = "/services/T0/B0/anna"


def test_what_is_posted_is_delivered_and_shown(sandbox, service):
    answer = sandbox.post(HOOK, json={"text": "*Order 7* &amp; more"}, headers={"X-Attempt-Id": "att-1"})

    assert (answer.status_code, answer.text) == (200, "ok")
    shown = eventually(lambda: [each for each in sandbox.messages(channel="slack") if each["state"] == "delivered"])[0]
    assert (shown["recipient"], shown["content"]["text"]) == ("anna", "*Order 7* &amp; more")
    assert sandbox.ledger()[-1] | {"at": "", "bodyDigest": ""} == {
        "at": "",
        "provider": "slack",
        "channel": "slack",
        "recipient": "anna",
        "attemptId": "att-1",
        "bodyDigest": "",
        "outcome": "delivered",
        "httpStatus": 200,
        "accepted": True,
        "messageId": "",
        "part": 0,
    }
    assert not [post for post in service.arrived if "slack" in post.path]


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (b"{", "invalid_payload"),
        (b"[]", "invalid_payload"),
        (b'{"text": 7}', "invalid_payload"),
        (b'{"text": ""}', "no_text"),
        (b'{"blocks": {}}', "invalid_blocks"),
        (b'{"text": "' + b"x" * 40_001 + b'"}', "invalid_payload"),
    ],
)
def test_what_slack_would_not_take_is_refused_in_its_words(sandbox, message, word):
    answer = sandbox.post(HOOK, data=message)

    assert (answer.status_code, answer.text) == (400, word)
    assert sandbox.ledger()[-1]["outcome"] == "invalid"


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [("gone", 410, "channel_is_archived"), ("reject", 400, "invalid_payload"), ("unavailable", 503, "rollup_error")],
)
def test_magic_webhooks_refuse(sandbox, name, status, word):
    answer = sandbox.post(f"/services/{name}", json={"text": "Hi"})

    assert (answer.status_code, answer.text) == (status, word)


def test_a_throttled_webhook_says_when(sandbox):
    first = sandbox.post("/services/T0/throttled-1-slack", json={"text": "Hi"})
    second = sandbox.post("/services/T0/throttled-1-slack", json={"text": "Hi"})

    assert (first.status_code, first.headers["Retry-After"], first.text) == (429, "2", "rate_limited")
    assert second.status_code == 200


def test_a_fault_is_for_slack_alone(sandbox):
    sandbox.post("/faults", json={"provider": "slack", "mode": "500", "count": 1})

    assert sandbox.post(HOOK, json={"text": "Hi"}).status_code == 500
    assert sandbox.post(HOOK, json={"text": "Hi"}).status_code == 200
