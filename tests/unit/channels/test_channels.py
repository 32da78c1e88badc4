import json

import pytest
from pydantic import ValidationError

from shared.channels import CHANNELS
from shared.channels.push import DeviceTokenModel, RegisteredDevices
from shared.channels.slack import SlackContent, SlackContentModel, SlackHook
from shared.channels.whatsapp import WhatsAppContent, WhatsAppContentModel
from shared.domain.address import Devices, DeviceToken, EmailAddress, PhoneNumber
from shared.domain.channel import AddressProblem, Recipient
from shared.domain.content import EmailContent, PushContent, SmsContent, WebhookContent

EMAIL, SMS, PUSH, WEBHOOK = (CHANNELS[name] for name in ("email", "sms", "push", "webhook"))
SLACK, WHATSAPP = CHANNELS["slack"], CHANNELS["whatsapp"]


@pytest.mark.parametrize(
    "mailbox",
    ["a@b.de", "ada.lovelace+tag@sub.example.co", "o'brien@example.com", "1@2.example", "a" * 64 + "@example.com"],
)
def test_an_ordinary_mailbox_is_an_address(mailbox: str) -> None:
    assert EMAIL.address(Recipient(written={"email": mailbox})) == EmailAddress(mailbox)


@pytest.mark.parametrize(
    "mailbox",
    [
        "", "a", "@b.de", "a@", "a@b", "a@@b.de", "a b@c.de", ".a@b.de", "a.@b.de", "a..b@c.de", "a@-b.de", "a@b-.de",
        "a@b.d", "a@b..de", "a@b.de.", "a@[127.0.0.1]", '"a"@b.de', "a@b.de\n", "\na@b.de", "a@b.de\r\nBcc: c@d.de",
        "a@b.de,c@d.de", "Ada <a@b.de>", "ä@b.de", "a@ä.de", "a\x00@b.de", "a" * 65 + "@b.de", "a@" + "b" * 64 + ".de",
        "a@" + ".".join(["b" * 60] * 5) + ".de",
    ],
)  # fmt: skip
def test_what_is_no_mailbox_is_refused(mailbox: str) -> None:
    with pytest.raises(AddressProblem) as refused:
        EMAIL.address(Recipient(written={"email": mailbox}))

    assert refused.value.pointer == "/recipient/email"


@pytest.mark.parametrize("number", ["+4915112345678", "+12025550123", "+8613800138000"])
def test_an_e164_number_is_an_address(number: str) -> None:
    assert SMS.address(Recipient(written={"phone": number})) == PhoneNumber(number)


@pytest.mark.parametrize(
    "number",
    ["", "4915112345678", "+0491511234567", "+49 151 1234567", "+49-151", "+1", "+1234567890123456", "+49151x",
     "++4915112345678", "+4915112345678\n", "+\u0664\u0669151123456"],
)  # fmt: skip
def test_what_is_no_e164_number_is_refused(number: str) -> None:
    with pytest.raises(AddressProblem):
        SMS.address(Recipient(written={"phone": number}))


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "ä", "a\x7f", "x" * 4097])
def test_a_token_that_could_not_travel_in_a_header_is_refused_where_it_stands(token: str) -> None:
    devices = [DeviceTokenModel.model_construct(platform="fcm", token=each) for each in ("good", token)]

    with pytest.raises(AddressProblem) as refused:
        PUSH.address(Recipient(written={"device_tokens": devices}))

    assert refused.value.pointer == "/recipient/deviceTokens/1/token"


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda channel: channel.name)
def test_a_recipient_without_the_channels_address_is_refused(channel: object) -> None:
    with pytest.raises(AddressProblem):
        channel.address(Recipient(customer_id="c"))  # type: ignore[attr-defined]


def test_an_email_is_composed_with_its_subject_on_one_line() -> None:
    parts = {"email.subject.txt": "\n Your \r\n order \t 7 \n", "email.body.txt": "t", "email.body.html": "<p>h</p>"}

    assert EMAIL.compose(parts, "id", {}) == EmailContent("Your order 7", "t", "<p>h</p>")


def test_sms_and_push_lose_the_white_space_around_them() -> None:
    assert SMS.compose({"sms.txt": "\n hi \n"}, "id", {}) == SmsContent("hi")
    assert PUSH.compose({"push.title.txt": " t\n", "push.body.txt": "\nb "}, "id", {}) == PushContent("t", "b")


def test_a_webhooks_content_is_the_data_itself() -> None:
    content = WEBHOOK.compose({}, "order-confirmation", {"a": "ü", "n": [1, None]})

    assert isinstance(content, WebhookContent)
    assert json.loads(content.body) == {"type": "order-confirmation", "data": {"a": "ü", "n": [1, None]}}


def test_content_that_can_not_go_out_is_refused() -> None:
    assert EMAIL.refuses(EmailContent("a\r\nBcc: x", "t")) is not None
    assert EMAIL.refuses(EmailContent("Größe ✓", "t\nt")) is None
    assert SMS.refuses(SmsContent("x" * 1601)) is not None
    assert SMS.refuses(SmsContent("x" * 1600)) is None


def pushed_to(customer_id: str | None = None, **written: object) -> object:
    return PUSH.address(Recipient(customer_id, written))


def test_a_token_that_is_written_twice_is_one_device() -> None:
    tokens = [DeviceTokenModel(platform=platform, token="a") for platform in ("fcm", "fcm", "apns")]

    assert pushed_to(device_tokens=tokens) == Devices((DeviceToken("fcm", "a"), DeviceToken("apns", "a")))


def test_registered_devices_are_the_customers_on_both_platforms() -> None:
    registered = pushed_to("cust_1@a.b", registered_devices=True)

    assert registered == RegisteredDevices("cust_1@a.b", ("fcm", "apns"))
    assert registered.targets == (RegisteredDevices("cust_1@a.b", ("fcm",)), RegisteredDevices("cust_1@a.b", ("apns",)))
    assert registered.narrowed({1}) == RegisteredDevices("cust_1@a.b", ("apns",))
    assert PUSH.restore_address(registered.stored()) == registered


@pytest.mark.parametrize("customer_id", [None, "a b", "a || customer:b", "x" * 101])
def test_registered_devices_that_could_be_somebody_elses_are_refused(customer_id: str | None) -> None:
    with pytest.raises(AddressProblem) as refused:
        pushed_to(customer_id, registered_devices=True)

    assert refused.value.pointer == "/recipient/customerId"


def test_who_asks_for_registered_devices_gets_them_alone_and_each_rings_once() -> None:
    tokens = [DeviceTokenModel(platform="fcm", token="a")]

    assert pushed_to("c", registered_devices=True, device_tokens=tokens) == RegisteredDevices("c")
    assert pushed_to("c", registered_devices=False, device_tokens=tokens) == Devices((DeviceToken("fcm", "a"),))


def test_a_push_to_registered_devices_only_when_it_is_asked_for() -> None:
    with pytest.raises(AddressProblem) as refused:
        pushed_to("c", registered_devices=False)

    assert refused.value.pointer == "/recipient/deviceTokens"


@pytest.mark.parametrize("name", ["attempt_id", "aps", "from", "message_type", "collapse_key", "google.a", "gcm"])
def test_data_that_the_platforms_take_for_something_else_is_refused(name: str) -> None:
    assert name in str(PUSH.refuses(PushContent("t", "b", {"order": "1", name: "x"})))
    assert PUSH.refuses(PushContent("t", "b", {"order": "1", "my_from": "x"})) is None


HOOK = "https://hooks.slack.com/services/T0AAA/B0BBB/x1y2z3"


@pytest.mark.parametrize(
    "url",
    [
        HOOK,
        "https://hooks.slack-gov.com/services/T0/B0/x",
        "http://127.0.0.1:7080/services/any",
        "http://localhost:1/services/a",
    ],
)
def test_an_incoming_webhook_is_an_address_that_must_be_checked(url: str) -> None:
    address = SLACK.address(Recipient(written={"slack_webhook_url": url}))

    assert address == SlackHook(url)
    assert address.destination == url


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.slack.com/services/T/B/x", "http://hooks.slack.com/services/T/B/x", "https://hooks.slack.com/",
        HOOK + "?a=b", "https://hooks.slack.com/workflows/T/A/1", "https://hooks.slack.com.evil.example/services/T",
        "https://u@hooks.slack.com/services/T", "https://hooks.slack.com:443/services/T", HOOK + "\n",
        "https://evil.example/hooks.slack.com/services/T", "https://hooks.slack.com/services/../x",
        "https://127.0.0.2:1/services/x", "http://127.0.0.1/services/x", "http://127.0.0.1:7080/webhooks/x",
        "https://10.0.0.1:1/services/x",
    ],
)  # fmt: skip
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(AddressProblem) as refused:
        SLACK.address(Recipient(written={"slack_webhook_url": url}))

    assert refused.value.pointer == SLACK.pointer == "/recipient/slackWebhookUrl"


def test_values_in_a_slack_template_can_not_call_a_channel_or_disguise_a_link() -> None:
    content = SLACK.compose({"slack.txt": " *Order* <!channel> <https://evil.example|shop> & more\n"}, "id", {})

    assert content == SlackContent("*Order* &lt;!channel&gt; &lt;https://evil.example|shop&gt; &amp; more")


def test_a_literal_slack_message_is_the_consumers_own() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "<https://a.example|a>"}}]

    content = SlackContentModel(text="<https://a.example|a>", blocks=blocks).to_content()

    assert (content.text, content.blocks) == ("<https://a.example|a>", tuple(blocks))
    assert SLACK.restore_content(json.loads(json.dumps(content.stored()))) == content


def test_whatsapp_reaches_the_telephone_number_that_sms_does() -> None:
    assert WHATSAPP.address(Recipient(written={"phone": "+4915112345678"})) == PhoneNumber("+4915112345678")
    with pytest.raises(AddressProblem, match="channel whatsapp"):
        WHATSAPP.address(Recipient())


SID = "HX" + "0a" * 16


@pytest.mark.parametrize(
    "written",
    [
        {}, {"text": ""}, {"text": "x" * 1601}, {"text": "a", "contentSid": SID}, {"contentSid": "HX12"},
        {"text": "a", "contentVariables": {"1": "x"}}, {"contentSid": SID, "contentVariables": {"1": "a\nb"}},
        {"contentSid": SID, "contentVariables": {"a b": "x"}},
        {"contentSid": SID, "contentVariables": {str(n): "x" for n in range(51)}},
    ],
)  # fmt: skip
def test_a_whatsapp_message_is_a_text_or_an_approved_template(written: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WhatsAppContentModel.model_validate(written)


@pytest.mark.parametrize(
    ("written", "content"),
    [
        ({"text": "Hi"}, WhatsAppContent("Hi")),
        ({"contentSid": SID, "contentVariables": {"1": "Ada"}}, WhatsAppContent(None, SID, {"1": "Ada"})),
        ({"contentSid": SID}, WhatsAppContent(None, SID)),
    ],
)
def test_whatsapp_messages_keep_what_they_say(written: dict[str, object], content: WhatsAppContent) -> None:
    assert WhatsAppContentModel.model_validate(written).to_content() == content
    assert WHATSAPP.restore_content(json.loads(json.dumps(content.stored()))) == content


def test_chat_messages_that_are_too_long_are_refused() -> None:
    assert WHATSAPP.refuses(WHATSAPP.compose({"whatsapp.txt": "x" * 1601}, "id", {})) is not None
    assert WHATSAPP.refuses(WHATSAPP.compose({"whatsapp.txt": " " + "x" * 1600}, "id", {})) is None
    assert SLACK.refuses(SlackContent("x" * 40_001)) is not None
    assert SLACK.refuses(SlackContent("x" * 40_000)) is None
