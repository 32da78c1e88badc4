"""WhatsApp by Twilio, with the vendor's own package as client and verifier."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from .conftest import WHATSAPP_SID, WHATSAPP_TOKEN, eventually
from .test_twilio_wire import LocalHttpClient

SENDER = "whatsapp:+14155238886"
SID = "HX" + "0a" * 16


def posts(service, attempt):
    return [post for post in service.arrived if post.path.endswith(f"twilio_whatsapp?attempt_id={attempt}")]


@pytest.fixture
def twilio(sandbox):
    http = LocalHttpClient(sandbox.url)
    yield Client(WHATSAPP_SID, WHATSAPP_TOKEN, http_client=http)
    http.session.close()


def test_the_vendors_client_sends_lists_and_fetches(twilio, sandbox):
    to = "whatsapp:+4915112345678"
    sent = twilio.messages.create(to=to, from_=SENDER, body="*Hello*")

    assert (sent.to, sent.from_, sent.status) == (to, SENDER, "queued")
    assert eventually(lambda: twilio.messages(sent.sid).fetch().status == "delivered")
    assert [message.sid for message in twilio.messages.list(to=to, limit=1)] == [sent.sid]
    shown = sandbox.messages(channel="whatsapp")[0]
    assert (shown["recipient"], shown["sender"], shown["content"]) == ("+4915112345678", SENDER, {"text": "*Hello*"})


def test_an_approved_template_is_shown_by_its_sid_and_variables(twilio, sandbox):
    twilio.messages.create(
        to="whatsapp:+4915112345670", from_=SENDER, content_sid=SID, content_variables='{"1": "Ada"}'
    )

    content = sandbox.messages(channel="whatsapp", recipient="5670")[0]["content"]
    assert content == {"text": "", "contentSid": SID, "variables": {"1": "Ada"}}


def test_reading_is_reported_with_the_vendors_signature(twilio, service):
    url = f"{service.url}/api/v1/receipts/twilio_whatsapp?attempt_id=att-7"
    twilio.messages.create(to="whatsapp:+15005550117", from_=SENDER, body="Hello", status_callback=url)
    eventually(lambda: len(posts(service, "att-7")) == 3)

    fields = [dict(parse_qsl(post.body.decode())) for post in posts(service, "att-7")]
    validator = RequestValidator(WHATSAPP_TOKEN)
    assert [field["MessageStatus"] for field in fields] == ["sent", "delivered", "read"]
    assert {field["To"] for field in fields} == {"whatsapp:+15005550117"}
    for post, field in zip(posts(service, "att-7"), fields, strict=True):
        assert validator.validate(url, field, post.headers["X-Twilio-Signature"])


def test_outside_the_window_a_text_is_not_delivered(twilio, service):
    url = f"{service.url}/api/v1/receipts/twilio_whatsapp?attempt_id=att-8"
    twilio.messages.create(to="whatsapp:+15005550118", from_=SENDER, body="Hello", status_callback=url)

    [field] = eventually(lambda: [dict(parse_qsl(post.body.decode())) for post in posts(service, "att-8")])

    assert (field["MessageStatus"], field["ErrorCode"]) == ("undelivered", "63016")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "whatsapp:+491", "from_": SENDER, "body": "x"}, 21211),
        ({"to": "whatsapp:+4915112345678", "from_": "+14155238886", "body": "x"}, 21910),
        ({"to": "whatsapp:+4915112345678", "from_": SENDER}, 21602),
        ({"to": "whatsapp:+4915112345678", "from_": SENDER, "content_sid": "HX1"}, 21656),
        ({"to": "whatsapp:+15005550110", "from_": SENDER, "body": "x"}, 21211),
    ],
)
def test_what_twilio_would_not_take_has_its_code(twilio, fields, code):
    with pytest.raises(TwilioRestException) as caught:
        twilio.messages.create(**fields)

    assert caught.value.code == code


def test_sms_goes_on_beside_it(sandbox):
    answer = sandbox.post(
        f"/2010-04-01/Accounts/{WHATSAPP_SID}/Messages.json",
        data={"To": "+4915112345678", "From": "+15005550006", "Body": "x"},
        auth=(WHATSAPP_SID, WHATSAPP_TOKEN),
    )

    assert answer.status_code == 401  # another account's
