import email
import re
from dataclasses import replace
from datetime import timedelta
from email.policy import default

import pytest

from shared.domain.address import EmailAddress, PhoneNumber
from shared.domain.content import EmailContent
from shared.domain.errors import Misconfigured, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.ports import OutboundMessage
from shared.providers import smtp
from shared.providers.smtp import Smtp, from_settings
from shared.providers.smtp_connections import Refused, Stage
from tests.unit.providers.recording_client import NOW, RecordingClient

ATTEMPT = AttemptId("acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1")
OWN = {"SMTP_HOST": "mail.example", "SMTP_FROM_ADDRESS": "Acme Büro <hello@example.com>"}


def provider(**settings) -> Smtp | None:
    return from_settings(OWN | settings, RecordingClient(), RecordingClient())


class Taking:
    """Connections to a server that takes everything, or refuses as told."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.taken = []
        self.refusal = refusal

    async def submit(self, envelope, message: bytes, timeout: timedelta) -> None:
        if self.refusal:
            raise self.refusal
        self.taken.append((envelope, message, timeout))

    async def close(self) -> None:
        pass


def message(**content) -> OutboundMessage:
    fields = {"subject": "Grüße", "text": "Hällo\n.\nBye", "html": "<p>Hällo</p>"} | content
    return OutboundMessage(ATTEMPT, "email", EmailAddress("pat@example.com"), EmailContent(**fields), "transactional")


async def sent(outbound: OutboundMessage):
    smtp = provider()
    smtp._now = lambda: NOW
    smtp._connections = Taking()
    accepted = await smtp.send(outbound)
    ((envelope, raw, timeout),) = smtp._connections.taken
    return accepted, envelope, raw, timeout


async def test_a_message_names_its_attempt_and_both_its_people():
    accepted, envelope, raw, timeout = await sent(message())

    mail = email.message_from_bytes(raw, policy=default)
    assert (envelope.sender, envelope.recipient) == ("hello@example.com", "pat@example.com")
    assert accepted.provider_message_id == mail["Message-ID"] == f"<{ATTEMPT}@example.com>"
    assert mail["X-CNS-Attempt-Id"] == ATTEMPT
    assert (mail["From"], mail["To"], mail["Subject"]) == ("Acme Büro <hello@example.com>", "pat@example.com", "Grüße")
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    assert timeout == timedelta(seconds=20)


async def test_a_link_to_unsubscribe_goes_as_headers_in_one_line():
    url = "https://x.example/api/v1/unsubscribe/" + "a" * 200
    _, _, raw, _ = await sent(replace(message(), unsubscribe_url=url))

    mail = email.message_from_bytes(raw, policy=default)
    assert mail["List-Unsubscribe"] == f"<{url}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_text_and_html_are_alternatives_the_richer_one_last():
    _, _, raw, _ = await sent(message())

    mail = email.message_from_bytes(raw, policy=default)
    assert mail.get_content_type() == "multipart/alternative"
    assert [(part.get_content_type(), part.get_content().splitlines()) for part in mail.iter_parts()] == [
        ("text/plain", ["Hällo", ".", "Bye"]),
        ("text/html", ["<p>Hällo</p>"]),
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"html": None}, "text/plain"),
        ({"text": None}, "text/html"),
        ({"text": ""}, "text/html"),
        ({"text": "", "html": ""}, "text/plain"),
    ],
)
async def test_one_part_stands_alone(content, kind):
    _, _, raw, _ = await sent(message(**content))

    assert email.message_from_bytes(raw, policy=default).get_content_type() == kind


async def test_everything_travels_in_seven_bits_and_short_lines():
    _, _, raw, _ = await sent(message(subject="ü" * 300, text="ü" * 5000, html="<p>" + "x" * 5000))

    assert max(raw) < 128
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert not re.search(rb"[^\r]\n", raw)
    assert email.message_from_bytes(raw, policy=default)["Subject"] == "ü" * 300


async def test_lines_end_as_mail_wants_them():
    _, _, raw, _ = await sent(message(text="a\nb\r\nc\rd", html=None))

    assert email.message_from_bytes(raw).get_payload(decode=True) == b"a\r\nb\r\nc\r\nd"


@pytest.mark.parametrize("injected", ["\r\nBcc: x@example.com", "\nBcc: x@example.com", "\r\n\r\nbody", "\x0bX: y"])
async def test_a_line_break_in_the_subject_makes_no_header(injected):
    _, _, raw, _ = await sent(message(subject=f"Hello{injected}"))

    mail = email.message_from_bytes(raw, policy=default)
    assert mail["Bcc"] is mail["X"] is None
    assert mail["Subject"].startswith("Hello ")


async def test_an_address_that_is_none_is_rejected_unsent():
    smtp = provider()
    smtp._connections = Taking()

    with pytest.raises(Rejected, match="invalid_content"):
        await smtp.send(replace(message(), address=EmailAddress("pat@example.com\r\nBcc: x@example.com")))
    with pytest.raises(Rejected, match="wrong_channel"):
        await smtp.send(replace(message(), address=PhoneNumber("+4915112345678")))

    assert smtp._connections.taken == []


async def test_half_a_character_is_rejected_unsent():
    smtp = provider()
    smtp._connections = Taking()

    with pytest.raises(Rejected, match="invalid_content"):
        await smtp.send(message(text="\ud83d"))


@pytest.mark.parametrize(
    ("stage", "code", "text", "kind", "reason"),
    [
        (Stage.RECIPIENT, 550, "5.1.1 no such user", Rejected, "invalid_address"),
        (Stage.RECIPIENT, 550, "no such user", Rejected, "invalid_address"),
        (Stage.RECIPIENT, 550, "5.7.1 relaying denied", Rejected, "blocked_by_provider"),
        (Stage.RECIPIENT, 550, "5.7.26 unauthenticated", Rejected, "blocked_by_provider"),
        (Stage.RECIPIENT, 552, "5.2.2 mailbox full", Rejected, "mailbox_full"),
        (Stage.RECIPIENT, 450, "4.2.0 greylisted", Transient, "mailbox_unavailable"),
        (Stage.RECIPIENT, 452, "4.5.3 too many recipients", Throttled, "too_many_requests"),
        (Stage.RECIPIENT, 499, "who knows", Transient, "provider_unavailable"),
        (Stage.SENDER, 550, "5.1.8 bad sender", Misconfigured, "invalid_sender"),
        (Stage.SENDER, 553, "not allowed", Misconfigured, "invalid_sender"),
        (Stage.SENDER, 530, "5.7.0 authentication required", Misconfigured, "authentication_failed"),
        (Stage.SENDER, 421, "4.7.0 closing", Transient, "provider_unavailable"),
        (Stage.SENDER, 421, "4.7.28 too much", Throttled, "too_many_requests"),
        (Stage.SIGN_IN, 535, "5.7.8 wrong", Misconfigured, "authentication_failed"),
        (Stage.SIGN_IN, 554, "5.7.1 not you", Misconfigured, "authentication_failed"),
        (Stage.SIGN_IN, 454, "4.7.0 later", Transient, "provider_unavailable"),
        (Stage.SIGN_IN, 0, "", Misconfigured, "authentication_failed"),
        (Stage.CONNECT, 554, "go away", Misconfigured, "connection_refused"),
        (Stage.CONNECT, 421, "busy", Transient, "provider_unavailable"),
        (Stage.CONTENT, 552, "5.3.4 too big", Rejected, "content_too_large"),
        (Stage.CONTENT, 554, "5.6.0 malformed", Rejected, "invalid_content"),
        (Stage.CONTENT, 554, "transaction failed", Rejected, "content_refused"),
        (Stage.CONTENT, 451, "4.3.0 disk", Transient, "provider_unavailable"),
    ],
)
async def test_a_refusal_is_judged_by_its_codes_and_by_when_it_came(stage, code, text, kind, reason):
    smtp = provider()
    smtp._connections = Taking(Refused(stage, code, text))

    with pytest.raises(kind) as caught:
        await smtp.send(message())

    assert caught.value.reason == reason
    assert getattr(caught.value, "elsewhere", False) == (reason == "blocked_by_provider")


@pytest.mark.parametrize(
    ("settings", "port", "encryption"),
    [
        ({}, 587, "starttls"),
        ({"SMTP_TLS": "implicit"}, 465, "implicit"),
        ({"SMTP_TLS": "implicit", "SMTP_PORT": "1465"}, 1465, "implicit"),
        ({"SMTP_TLS": "none", "SMTP_HOST": "127.0.0.1"}, 25, "none"),
    ],
)
def test_the_port_follows_from_the_encryption(settings, port, encryption):
    server = provider(**settings)._connections._server

    assert (server.port, server.encryption, server.greets_as) == (port, encryption, "example.com")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_TLS", "ssl"),
        ("SMTP_TLS", "none"),
        ("SMTP_PORT", "0"),
        ("SMTP_PORT", "65536"),
        ("SMTP_PORT", "smtp"),
        ("SMTP_PASSWORD", "alone"),
        ("SMTP_FROM_ADDRESS", "nobody"),
        ("SMTP_FROM_ADDRESS", "Acme <hello@>"),
    ],
)
def test_a_setting_that_can_not_be_is_named(name, value):
    with pytest.raises(ValueError, match="SMTP_USERNAME" if name == "SMTP_PASSWORD" else name):
        provider(**{name: value})


def test_secrets_stay_out_of_representations():
    server = provider(SMTP_USERNAME="user", SMTP_PASSWORD="se-cret")._connections._server

    assert server.password == "se-cret"
    assert "se-cret" not in repr(server)


def test_every_stage_has_an_answer():
    assert set(smtp.STAGES) == set(Stage)
