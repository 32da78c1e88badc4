"""The Twilio side, with the vendor's own package as client and verifier."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from .conftest import ACCOUNT_SID, AUTH_TOKEN, eventually

SENDER = "+15005550006"


class LocalHttpClient(TwilioHttpClient):
    """The vendor's transport, with another host."""

    def __init__(self, base_url):
        super().__init__()
        self._base_url = base_url

    def request(self, method, url, *rest, **options):
        return super().request(method, url.replace("https://api.twilio.com", self._base_url), *rest, **options)


@pytest.fixture
def twilio(sandbox):
    http = LocalHttpClient(sandbox.url)
    yield Client(ACCOUNT_SID, AUTH_TOKEN, http_client=http)
    http.session.close()


def test_the_vendors_client_sends_and_fetches(twilio, sandbox):
    sent = twilio.messages.create(to="+4915112345678", from_=SENDER, body="Your code is 1234")

    assert (sent.status, sent.num_segments, sent.direction, sent.error_code) == ("queued", "1", "outbound-api", None)
    assert sent.sid.startswith("SM")
    assert sent.date_created is not None
    assert eventually(lambda: twilio.messages(sent.sid).fetch().status == "delivered")
    assert [message.sid for message in twilio.messages.list(to="+4915112345678", limit=1)] == [sent.sid]


def test_status_callbacks_carry_the_vendors_signature(twilio, service, sandbox):
    url = f"{service.url}/api/v1/receipts/twilio?attempt_id=att-7&x=%C3%BC"

    sent = twilio.messages.create(to="+4915112345679", from_=SENDER, body="Hello", status_callback=url)
    eventually(lambda: len(service.arrived) == 2)

    validator = RequestValidator(AUTH_TOKEN)
    fields = [dict(parse_qsl(post.body.decode())) for post in service.arrived]
    assert [field["MessageStatus"] for field in fields] == ["sent", "delivered"]
    for post, field in zip(service.arrived, fields, strict=True):
        assert service.url + post.path == url
        assert validator.validate(url, field, post.headers["X-Twilio-Signature"])
        assert not validator.validate(url, field | {"To": "+1"}, post.headers["X-Twilio-Signature"])
        assert (field["MessageSid"], field["To"], field["AccountSid"]) == (sent.sid, "+4915112345679", ACCOUNT_SID)
    assert sandbox.ledger()[-1]["attemptId"] == "att-7"


def test_an_undelivered_message_says_why(twilio, service):
    url = f"{service.url}/api/v1/receipts/twilio?attempt_id=att-8"

    sent = twilio.messages.create(to="+15005550100", from_=SENDER, body="Hello", status_callback=url)
    eventually(lambda: len(service.arrived) == 2)

    last = dict(parse_qsl(service.arrived[-1].body.decode()))
    assert (last["MessageStatus"], last["ErrorCode"]) == ("undelivered", "30003")
    fetched = twilio.messages(sent.sid).fetch()
    assert (fetched.status, fetched.error_code) == ("undelivered", 30003)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"to": "+15005550001"}, 400, 21211),
        ({"to": "+15005550002"}, 400, 21612),
        ({"to": "+15005550003"}, 400, 21408),
        ({"to": "+15005550004"}, 400, 21610),
        ({"to": "+15005550009"}, 400, 21614),
        ({"to": "+15005550108"}, 503, 20503),
        ({"to": "+15005550109"}, 429, 20429),
        ({"to": "+15005550111"}, 401, 20003),
        ({"to": "12"}, 400, 21211),
        ({"to": ""}, 400, 21604),
        ({"body": ""}, 400, 21602),
        ({"body": "x" * 1601}, 400, 21617),
        ({"from_": "not a sender!"}, 400, 21212),
        ({"status_callback": "ftp://example.com/"}, 400, 21609),
        ({"status_callback": "http://example.com/a b\r\nX: y"}, 400, 21609),
    ],
)
def test_errors_have_the_vendors_codes(twilio, change, status, code):
    with pytest.raises(TwilioRestException) as refused:
        twilio.messages.create(**({"to": "+4915112345678", "from_": SENDER, "body": "Hello"} | change))

    assert (refused.value.status, refused.value.code) == (status, code)


def test_wrong_credentials_are_refused(sandbox):
    http = LocalHttpClient(sandbox.url)
    with pytest.raises(TwilioRestException) as refused:
        Client(ACCOUNT_SID, "wrong", http_client=http).messages.create(to="+491511", from_=SENDER, body="x")
    http.session.close()

    assert (refused.value.status, refused.value.code) == (401, 20003)


def test_another_account_is_refused(sandbox):
    answer = sandbox.post(
        "/2010-04-01/Accounts/AC9/Messages.json", auth=(ACCOUNT_SID, AUTH_TOKEN), data={"To": "+49151"}
    )

    assert answer.status_code == 401
