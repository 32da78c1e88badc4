"""The mail server as a client of the standard library sees it."""

from __future__ import annotations

import smtplib
import socket
from email.message import EmailMessage

import pytest

from .conftest import SMTP_PASSWORD, SMTP_USER, eventually


def an_email(to="ann@example.com", text="Hello\n.\nBye", attempt="att-9"):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Shop <shop@example.com>", to, "Grüße"
    mail["X-CNS-Attempt-Id"] = attempt
    mail.set_content(text)
    mail.add_alternative("<p>Hello</p>", subtype="html")
    return mail


@pytest.fixture
def client(sandbox):
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as client:
        client.login(SMTP_USER, SMTP_PASSWORD)
        yield client


def test_a_message_arrives_in_the_inbox_and_in_the_ledger(client, sandbox):
    client.send_message(an_email())

    (message,) = sandbox.messages()
    assert (message["channel"], message["provider"], message["recipient"]) == ("email", "smtp", "ann@example.com")
    assert (message["attemptId"], message["content"]["subject"]) == ("att-9", "Grüße")
    assert message["content"]["text"].splitlines() == ["Hello", ".", "Bye"]
    assert message["content"]["html"].strip() == "<p>Hello</p>"
    assert message["content"]["from"] == {"name": "Shop", "email": "shop@example.com"}
    line = sandbox.ledger()[-1]
    assert (line["provider"], line["attemptId"], line["outcome"], line["accepted"]) == (
        "smtp",
        "att-9",
        "delivered",
        True,
    )
    eventually(lambda: sandbox.messages()[0]["state"] == "delivered")


def test_one_connection_takes_many_messages(client, sandbox):
    for number in range(5):
        client.send_message(an_email(f"ann{number}@example.com"))

    assert len(sandbox.messages()) == 5


@pytest.mark.parametrize(
    ("name", "code"),
    [("reject", 550), ("unauthorized", 535), ("overloaded", 450), ("temporary-failure", 451), ("unavailable", 421)],
)
def test_magic_recipients_are_refused_at_the_final_dot(client, name, code):
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.send_message(an_email(f"{name}+smtp@example.com"))

    assert refused.value.smtp_code == code


def test_a_cut_connection_after_acceptance_has_accepted(client, sandbox):
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        client.send_message(an_email("reset-after-accept@example.com"))

    assert (sandbox.ledger()[-1]["accepted"], sandbox.ledger()[-1]["httpStatus"]) == (True, None)


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_server_that_takes_its_time(sandbox, mode):
    sandbox.post("/faults", json={"provider": "smtp", "mode": mode})
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=0.4) as client:
        client.login(SMTP_USER, SMTP_PASSWORD)
        with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
            client.send_message(an_email())
        client.close()

    assert (sandbox.ledger()[-1]["outcome"], sandbox.ledger()[-1]["accepted"]) == (mode, True)


def test_garbage_is_no_reply_code(client, sandbox):
    sandbox.post("/faults", json={"provider": "smtp", "mode": "malformed"})

    with pytest.raises(smtplib.SMTPException):
        client.send_message(an_email())

    assert sandbox.ledger()[-1]["accepted"] is True


def test_nobody_sends_without_signing_in(sandbox):
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.send_message(an_email())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(SMTP_USER, "wrong")

    assert refused.value.smtp_code == 530


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("DATA", 503),
        ("RCPT TO:<x@example.com>", 503),
        ("MAIL FROM:x", 501),
        ("VRFY x", 502),
        ("AUTH X", 504),
        ("NOOP", 250),
    ],
)
def test_commands_out_of_turn_are_refused(client, command, code):
    assert client.docmd(command)[0] == code


def test_noise_does_no_harm(sandbox):
    with socket.create_connection(("127.0.0.1", sandbox.smtp_port), timeout=5) as noisy:
        noisy.sendall(b"\x00\xff" * 1000 + b"\r\n")
        assert noisy.recv(1000).startswith(b"220 ")

    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as client:
        assert client.noop()[0] == 250
