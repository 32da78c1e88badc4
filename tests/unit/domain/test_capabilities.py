import pytest

from shared.domain.address import Devices, DeviceToken, EmailAddress, PhoneNumber
from shared.domain.capabilities import ANYTHING, Capabilities, capabilities_of
from shared.domain.content import EmailContent, PushContent, SmsContent

MAILBOX = EmailAddress("pat@example.com")
GERMAN = PhoneNumber("+4915112345678")


class WithTable:
    capabilities = Capabilities(max_text_characters=7)


def test_a_provider_without_a_table_can_carry_anything() -> None:
    assert capabilities_of(object()) is ANYTHING
    assert ANYTHING.refuses(GERMAN, SmsContent("x" * 100_000)) is None
    assert ANYTHING.refuses(MAILBOX, EmailContent("s", html="x" * 100_000)) is None
    assert ANYTHING.refuses(Devices(()), PushContent("t", "b")) is None


def test_a_providers_own_table_is_found() -> None:
    assert capabilities_of(WithTable()).max_text_characters == 7


@pytest.mark.parametrize(("length", "reason"), [(10, None), (11, "content_too_large")])
def test_an_sms_text_is_counted_in_characters(length: int, reason: str | None) -> None:
    assert Capabilities(max_text_characters=10).refuses(GERMAN, SmsContent("ü" * length)) == reason


@pytest.mark.parametrize(("length", "reason"), [(4, None), (5, "content_too_large")])
def test_an_email_is_counted_in_bytes_over_all_its_parts(length: int, reason: str | None) -> None:
    content = EmailContent("s", text="t", html="ü" * length)

    assert Capabilities(max_message_bytes=10).refuses(MAILBOX, content) == reason


def test_html_alone_needs_a_provider_that_takes_html() -> None:
    plain = Capabilities(html=False)

    assert plain.refuses(MAILBOX, EmailContent("s", html="<p>x</p>")) == "content_not_supported"
    assert plain.refuses(MAILBOX, EmailContent("s", text="x", html="<p>x</p>")) is None


@pytest.mark.parametrize(
    ("prefixes", "reason"),
    [(None, None), (("+1", "+49"), None), (("+1", "+44"), "country_not_enabled"), ((), "country_not_enabled")],
)
def test_a_number_needs_a_provider_that_reaches_its_prefix(
    prefixes: tuple[str, ...] | None, reason: str | None
) -> None:
    assert Capabilities(number_prefixes=prefixes).refuses(GERMAN, SmsContent("x")) == reason


def test_some_reach_the_devices_of_one_platform_only_and_one_device_is_enough() -> None:
    fcm, apns = DeviceToken("fcm", "a"), DeviceToken("apns", "b")
    push = PushContent("t", "b")

    assert Capabilities(platforms=("fcm",)).refuses(Devices((apns,)), push) == "platform_not_supported"
    assert Capabilities(platforms=("fcm",)).refuses(Devices((apns, fcm)), push) is None
    assert ANYTHING.refuses(Devices((apns,)), None) is None
