import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from bench.fake_provider import attempt_ids
from bench.provider_client import running_provider

_ATTEMPT = "tenant.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (
            "/v3/mail/send",
            {},
            json.dumps({"personalizations": [{"to": []}], "custom_args": {"attempt_id": _ATTEMPT}}),
        ),
        ("/v3/mail/send", {}, json.dumps({"personalizations": [{"custom_args": {"attempt_id": _ATTEMPT}}]})),
        (
            "/2010-04-01/Accounts/AC1/Messages.json",
            {},
            urllib.parse.urlencode(
                {"StatusCallback": f"http://h/p?{urllib.parse.urlencode({'attempt_id': _ATTEMPT})}"}
            ),
        ),
        ("/hub/messages/", {}, json.dumps({"message": {"data": {"attempt_id": _ATTEMPT}}})),
        ("/hub/messages/", {}, json.dumps({"attempt_id": _ATTEMPT, "aps": {}})),
        ("/webhooks/7", {"webhook-id": _ATTEMPT}, "{}"),
    ],
)
def test_the_attempt_is_found_where_each_vendor_carries_it(path, headers, body):
    assert attempt_ids(path, headers, body.encode()) == [_ATTEMPT]


def test_a_request_that_carries_many_attempts_is_a_call_for_each():
    others = [f"tenant.01ARZ3NDEKTSV4RRFFQ69G5FA{letter}.email.1" for letter in "ABC"]
    people = [{"to": [], "custom_args": {"attempt_id": each}} for each in others]

    assert attempt_ids("/v3/mail/send", {}, json.dumps({"personalizations": people}).encode()) == others

    with running_provider() as provider:
        _post(f"{provider.url}/v3/mail/send", json.dumps({"personalizations": people}).encode())
        counts, calls = provider.counts(), provider.calls_since(0)

    assert counts == {"requests": 1, "calls": 3, "notifications": 3, "callbacks": 0}
    assert [attempt for attempt, _ in calls] == others
    assert len({at for _, at in calls}) == 1


def _post(url, body, headers=None):
    try:
        request = urllib.request.Request(url, body, headers or {"content-type": "text/plain"})  # noqa: S310 - our own
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own address
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_ledger_keeps_every_call_whatever_was_answered():
    mail = json.dumps({"personalizations": [{}], "custom_args": {"attempt_id": _ATTEMPT}}).encode()
    signed = {"webhook-id": "n", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    with running_provider() as provider:
        well = _post(f"{provider.url}/v3/mail/send", mail)
        provider.behave(status=503, channel="email")
        ill = _post(f"{provider.url}/v3/mail/send", mail)
        provider.behave()
        unknown = _post(f"{provider.url}/v3/mail/send", b"{}")
        called_back = _post(f"{provider.url}/callbacks/bench", b"{}", signed)
        counts, calls, callbacks = provider.counts(), provider.calls_since(1), provider.callbacks()
        arrived = provider.wait_for(1)

    assert (well, ill, unknown, called_back) == (202, 503, 400, 204)
    assert counts == {"requests": 2, "calls": 2, "notifications": 1, "callbacks": 1}
    assert [attempt for attempt, _ in calls] == [_ATTEMPT]
    assert callbacks == [["n", "1", "v1,x", "{}"]]
    assert arrived
