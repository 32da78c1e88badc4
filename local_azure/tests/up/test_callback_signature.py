"""The sample's own check of signatures, against the published test vector of Standard Webhooks."""

import pytest

from local_azure.up.callback_signature import is_authentic

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_NOW = 1614265330
_BODY = '{"test": 2432232314}'
_HEADERS = {
    "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "Webhook-Timestamp": str(_NOW),
    "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_a_right_signature_is_accepted_also_beside_another():
    two = _HEADERS | {"Webhook-Signature": f"v1,b3RoZXI= {_HEADERS['Webhook-Signature']}"}

    assert is_authentic(_HEADERS, _BODY, _SECRET, now=_NOW + 299)
    assert is_authentic(two, _BODY, _SECRET, now=_NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"Webhook-Id": "msg_2"},
        {"Webhook-Timestamp": str(_NOW + 1)},
        {"Webhook-Timestamp": "soon"},
        {"Webhook-Signature": "v1"},
        {"Webhook-Signature": ""},
    ],
)
def test_any_changed_header_is_not_authentic(change):
    assert not is_authentic(_HEADERS | change, _BODY, _SECRET, now=_NOW)


def test_a_changed_body_an_old_timestamp_and_another_secret_are_not_authentic():
    assert not is_authentic(_HEADERS, _BODY + " ", _SECRET, now=_NOW)
    assert not is_authentic(_HEADERS, _BODY, _SECRET, now=_NOW + 301)
    assert not is_authentic(_HEADERS, _BODY, "whsec_b3RoZXI=", now=_NOW)
