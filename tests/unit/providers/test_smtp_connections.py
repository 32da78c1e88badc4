"""The pool against servers that speak real SMTP: encryption, reuse, and how far a submission came."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.providers.smtp_connections import (
    KEPT_IDLE,
    MAX_CONNECTIONS,
    MESSAGES_A_CONNECTION,
    Broken,
    Envelope,
    Refused,
    SmtpConnections,
    SmtpServer,
    Stage,
)
from tests.contract.wires import SmtpWire

ENVELOPE = Envelope("hello@example.com", "pat@example.com")
MESSAGE = b"Subject: x\r\n\r\nLine\r\n.leading dot\r\n"
AMPLE, QUICK = timedelta(seconds=5), timedelta(seconds=0.3)


class Time:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@contextlib.asynccontextmanager
async def serving(wire: SmtpWire, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await wire.close()


@contextlib.asynccontextmanager
async def pooled(wire: SmtpWire, *, time: Time | None = None, **server) -> AsyncIterator[SmtpConnections]:
    async with serving(wire) as port:
        at = SmtpServer(
            **({"host": "127.0.0.1", "port": port, "encryption": "none", "greets_as": "us.example"} | server)
        )
        connections = SmtpConnections(at, time or Time())
        yield connections
        await connections.close()


@pytest.fixture
def wire() -> SmtpWire:
    wire = SmtpWire()
    wire.accepts(None)
    return wire


async def test_hands_a_message_over_as_it_is(wire):
    async with pooled(wire) as connections:
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert wire.commands[0] == b"EHLO us.example\r\n"
    assert [command.upper().split(b":")[0] for command in wire.commands[1:]] == [b"MAIL FROM", b"RCPT TO", b"DATA\r\n"]
    assert wire.requests == [b"Subject: x\r\n\r\nLine\r\n..leading dot\r\n.\r\n"]


async def test_one_connection_carries_one_message_after_the_other(wire):
    async with pooled(wire) as connections:
        for _ in range(5):
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert (wire.connections, len(wire.requests)) == (1, 5)


async def test_a_refusal_does_not_cost_the_connection(wire):
    async with pooled(wire) as connections:
        wire.rejects(None)
        with pytest.raises(Refused) as caught:
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)
        wire.accepts(None)
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert (caught.value.stage, caught.value.code, caught.value.text) == (Stage.RECIPIENT, 550, "5.1.1 no such mailbox")
    assert wire.connections == 1
    assert b"RSET\r\n" in wire.commands


async def test_a_connection_is_left_after_a_hundred_messages(wire):
    async with pooled(wire) as connections:
        for _ in range(MESSAGES_A_CONNECTION + 1):
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert wire.connections == 2


async def test_a_connection_that_was_idle_for_too_long_is_not_used_again(wire):
    time = Time()
    async with pooled(wire, time=time) as connections:
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)
        time.seconds += KEPT_IDLE.total_seconds()
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert wire.connections == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced_unnoticed(wire):
    async with pooled(wire) as connections:
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)
        await wire.close()
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert (wire.connections, len(wire.requests)) == (2, 2)


async def test_a_server_that_hangs_up_at_the_next_sender_gets_one_more_connection(wire):
    wire.hangs_up_at = {1: b"MAIL"}
    async with pooled(wire) as connections:
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert (wire.connections, len(wire.requests)) == (2, 2)


async def test_a_server_that_hangs_up_twice_is_broken(wire):
    wire.hangs_up_at = {1: b"MAIL", 2: b"MAIL"}
    async with pooled(wire) as connections:
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)
        with pytest.raises(Broken) as caught:
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert (caught.value.stage, caught.value.reason) == (Stage.SENDER, "connection_lost")


async def test_no_more_connections_than_allowed_and_nobody_waits_for_ever(wire):
    wire.hangs()
    async with pooled(wire) as connections:
        under_way = [asyncio.create_task(connections.submit(ENVELOPE, MESSAGE, AMPLE)) for _ in range(MAX_CONNECTIONS)]
        async with asyncio.timeout(5):
            while len(wire.requests) < MAX_CONNECTIONS:  # noqa: ASYNC110 - polls with a deadline
                await asyncio.sleep(0.01)
        with pytest.raises(Broken) as caught:
            await connections.submit(ENVELOPE, MESSAGE, QUICK)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        wire.accepts(None)
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert caught.value.stage is Stage.CONNECT
    assert wire.connections == MAX_CONNECTIONS + 1


@pytest.mark.parametrize(
    ("answers", "stage"),
    [
        ({b"MAIL": b""}, Stage.SENDER),
        ({b"RCPT": b""}, Stage.RECIPIENT),
        ({b"DATA": b""}, Stage.CONTENT),  # whether it waits for the dot can't be seen from here
    ],
)
async def test_silence_is_told_with_its_stage(wire, answers, stage):
    wire.answers = answers
    async with pooled(wire) as connections:
        with pytest.raises(Broken) as caught:
            await connections.submit(ENVELOPE, MESSAGE, QUICK)

    assert (caught.value.stage, caught.value.reason) == (stage, "no_answer")


async def test_a_refusal_of_the_content_is_a_refusal_though_all_of_it_was_sent(wire):
    wire.play = lambda writer: writer.write(b"554 5.6.0 not like that\r\n")
    async with pooled(wire) as connections:
        with pytest.raises(Refused) as caught:
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert caught.value.stage is Stage.CONTENT


@pytest.mark.parametrize(
    ("greeting", "kind", "stage"),
    [
        (b"554 5.3.2 go away\r\n", Refused, Stage.CONNECT),
        (b"", Broken, Stage.CONNECT),
        (b"SSH-2.0-OpenSSH\r\n", Broken, Stage.SIGN_IN),
    ],
)
async def test_a_greeting_that_is_none(wire, greeting, kind, stage):
    wire.greeting = greeting
    async with pooled(wire) as connections:
        with pytest.raises(kind) as caught:
            await connections.submit(ENVELOPE, MESSAGE, QUICK)

    assert caught.value.stage is stage
    assert wire.requests == []


async def test_nobody_listening_is_told_as_such():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = SmtpServer("127.0.0.1", unused.getsockname()[1], "none", "us.example")

        with pytest.raises(Broken) as caught:
            await SmtpConnections(server).submit(ENVELOPE, MESSAGE, AMPLE)

    assert (caught.value.stage, caught.value.reason) == (Stage.CONNECT, "connection_lost")


async def test_signs_in_when_it_has_credentials(wire):
    async with pooled(wire, username="user", password="password") as connections:
        await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert wire.commands[1].startswith(b"AUTH ")


async def test_a_refused_sign_in_is_told_as_such(wire):
    wire.refuses_us(None)
    async with pooled(wire, username="user", password="wrong") as connections:
        with pytest.raises(Refused) as caught:
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert (caught.value.stage, caught.value.code) == (Stage.SIGN_IN, 535)
    assert "wrong" not in str(caught.value)


async def test_a_server_that_offers_no_encryption_gets_nothing(wire):
    async with pooled(wire, encryption="starttls", host="localhost") as connections:
        with pytest.raises(Refused) as caught:
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)

    assert caught.value.stage is Stage.SIGN_IN
    assert wire.requests == []


class EncryptingWire(SmtpWire):
    """Offers STARTTLS, and takes mail behind it only."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__()
        self.tls = tls

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        while (await reader.readuntil(b"\r\n")).upper() != b"STARTTLS\r\n":
            writer.write(b"250-mail.example\r\n250 STARTTLS\r\n")
        writer.write(b"220 go ahead\r\n")
        await writer.start_tls(self.tls)
        self.greeting = b""
        await super()._converse(reader, writer)


@pytest.fixture
def certificate(tmp_path) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, str(path)


@pytest.mark.parametrize("encryption", ["starttls", "implicit"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_mail_goes_to_a_server_with_a_certificate_and_to_no_other(certificate, monkeypatch, encryption, trusted):
    context, path = certificate
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", path)
    wire = EncryptingWire(context) if encryption == "starttls" else SmtpWire()
    wire.accepts(None)
    async with serving(wire, context if encryption == "implicit" else None) as port:
        connections = SmtpConnections(SmtpServer("localhost", port, encryption, "us.example"))
        if trusted:
            await connections.submit(ENVELOPE, MESSAGE, AMPLE)
        else:
            with pytest.raises(Broken) as caught:
                await connections.submit(ENVELOPE, MESSAGE, AMPLE)
            assert caught.value.stage is Stage.CONNECT
        await connections.close()

    assert len(wire.requests) == trusted
