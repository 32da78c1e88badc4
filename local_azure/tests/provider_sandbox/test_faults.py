"""Fault profiles: what they do to calls, and how they end."""

from __future__ import annotations

import pytest
import requests

from local_azure.provider_sandbox.faults import Faults


def inject(sandbox, **fault):
    answer = sandbox.post("/faults", json={"provider": "sendgrid"} | fault)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_a_counted_fault_wears_off(sandbox):
    inject(sandbox, mode="500", count=2)

    statuses = [sandbox.send_email("ann@example.com").status_code for _ in range(3)]

    assert statuses == [500, 500, 202]
    assert sandbox.get("/faults").json() == []


def test_a_storm_tells_when_to_come_back_and_ends_on_request(sandbox):
    fault_id = inject(sandbox, mode="429", retry_after=7)
    throttled = sandbox.send_email("ann@example.com")

    sandbox.delete(f"/faults/{fault_id}")

    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "7")
    assert sandbox.send_email("ann@example.com").status_code == 202


def test_a_fault_hits_its_provider_only(sandbox):
    sandbox.post("/faults", json={"provider": "twilio", "mode": "500"})

    assert sandbox.send_email("ann@example.com").status_code == 202


def test_a_fault_on_all_providers_hits_every_one(sandbox):
    sandbox.post("/faults", json={"provider": "*", "mode": "503"})

    assert sandbox.send_email("ann@example.com").status_code == 503
    assert sandbox.post("/webhooks/customer", json={}).status_code == 503


def test_connections_can_be_cut(sandbox):
    inject(sandbox, mode="reset", count=1)
    with pytest.raises(requests.ConnectionError):
        sandbox.send_email("ann@example.com")


def test_a_slow_provider_accepts_after_its_delay(sandbox):
    inject(sandbox, mode="slow", delay_ms=200)

    answer = sandbox.send_email("ann@example.com")

    assert answer.status_code == 202
    assert answer.elapsed.total_seconds() >= 0.2


def test_deleting_by_provider_keeps_the_others(sandbox):
    inject(sandbox, mode="500")
    sandbox.post("/faults", json={"provider": "twilio", "mode": "500"})

    sandbox.delete("/faults?provider=sendgrid")

    assert [fault["provider"] for fault in sandbox.get("/faults").json()] == ["twilio"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ([], "object"),
        ({"provider": "acme", "mode": "500"}, "provider"),
        ({"provider": "sendgrid", "mode": "explode"}, "mode"),
        ({"provider": "sendgrid", "mode": "500", "probability": 0}, "probability"),
        ({"provider": "sendgrid", "mode": "500", "count": 0}, "count"),
        ({"provider": "sendgrid", "mode": "500", "delay_ms": "1"}, "delay_ms"),
        ({"provider": "sendgrid", "mode": "500", "often": 1}, "often"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox, fault, words):
    answer = sandbox.post("/faults", json=fault)

    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_a_probability_hits_that_share_of_calls():
    chances = iter([0.1, 0.9, 0.49, 0.5])
    faults = Faults(chance=lambda: next(chances))
    faults.add({"provider": "sendgrid", "mode": "500", "probability": 0.5})

    assert [faults.strike("sendgrid") is not None for _ in range(4)] == [True, False, True, False]
