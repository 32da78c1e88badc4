import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from bench.fake_provider import attempt_id
from bench.provider_client import running_provider

_ATTEMPT = "tenant.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v3/mail/send", {}, json.dumps({"custom_args": {"attempt_id": _ATTEMPT}})),
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
    assert attempt_id(path, headers, body.encode()) == _ATTEMPT


def _post(url, body, headers=None):
    try:
        request = urllib.request.Request(url, body, headers or {"content-type": "text/plain"})  # noqa: S310 - our own
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own address
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_ledger_keeps_every_call_whatever_was_answered():
    mail = json.dumps({"custom_args": {"attempt_id": _ATTEMPT}}).encode()
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
    assert counts == {"calls": 2, "notifications": 1, "callbacks": 1}
    assert [attempt for attempt, _ in calls] == [_ATTEMPT]
    assert callbacks == [["n", "1", "v1,x", "{}"]]
    assert arrived
