"""Every way an exchange can end, against a raw server that does just that; the outcome tells whether anything left."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import client_exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.adapters import http_client
from shared.adapters.http_client import MAX_ANSWER_BYTES, AiohttpClient
from shared.domain.call_start import calls_ask
from shared.domain.errors import InDoubt, Throttled, Transient

QUICK = timedelta(seconds=0.6)
AMPLE = timedelta(seconds=5)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Message-Id: m1\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    def __init__(self, script: "Callable[[RawServer], Script]") -> None:
        self.script = script(self)
        self.connected = asyncio.Event()
        self.connections = 0
        self.requests: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.connected.set()
        self.tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.script(reader, writer)
        writer.close()

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        return request


@contextlib.asynccontextmanager
async def raw_server(script: Callable[[RawServer], Script]) -> AsyncIterator[tuple[RawServer, str]]:
    server = RawServer(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/path"
    finally:
        listener.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def answering(answer: bytes) -> Callable[[RawServer], Script]:
    def script(server: RawServer) -> Script:
        async def run(reader, writer):
            while True:
                await server.read_request(reader)
                writer.write(answer)
                await writer.drain()

        return run

    return script


@pytest.fixture
async def client() -> AsyncIterator[AiohttpClient]:
    client = AiohttpClient()
    yield client
    await client.close()


async def post(client: AiohttpClient, url: str, timeout: timedelta = AMPLE, body: bytes = b"{}"):
    return await client.post(url, headers={"content-type": "application/json"}, body=body, timeout=timeout)


async def test_gives_the_answer_with_lower_case_header_names(client):
    async with raw_server(answering(OK)) as (server, url):
        answer = await post(client, url, body=b'{"a":1}')

    assert (answer.status, answer.body, answer.headers["x-message-id"]) == (200, b"ok", "m1")
    assert server.requests[0].startswith(b"POST /path HTTP/1.1\r\n")
    assert server.requests[0].endswith(b'\r\n\r\n{"a":1}')
    assert b"content-type: application/json" in server.requests[0].lower()


async def test_uses_one_connection_again_and_again(client):
    async with raw_server(answering(OK)) as (server, url):
        for _ in range(5):
            await post(client, url)

    assert server.connections == 1


async def test_opens_nothing_before_the_first_call_and_can_be_closed_unused():
    client = AiohttpClient(lambda: pytest.fail("a connector was made"))

    await client.close()


async def test_follows_no_redirect_and_keeps_no_cookie(client):
    redirect = (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    )
    async with raw_server(answering(redirect)) as (server, url):
        first = await post(client, url)
        await post(client, url)

    assert first.status == 302
    assert b"cookie" not in server.requests[1].lower()


async def test_ignores_proxies_of_the_environment(client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with raw_server(answering(OK)) as (_, url):
        assert (await post(client, url)).status == 200


async def test_does_not_unfold_a_compressed_answer(client):
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    async with raw_server(answering(packed)) as (server, url):
        assert (await post(client, url)).body == b"abc"

    assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_refused_is_transient(client):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(Transient, match="connection_failed"):
            await post(client, f"http://127.0.0.1:{port}/")


async def test_unresolvable_name_is_transient(client):
    with pytest.raises(Transient, match="connection_failed"):
        await post(client, "http://no-such-name.invalid/")


async def test_failed_tls_is_transient(client):
    def script(server):
        async def run(reader, writer):
            await reader.read(16)
            writer.write(b"this is no TLS\r\n")
            await writer.drain()

        return run

    async with raw_server(script) as (_, url):
        with pytest.raises(Transient, match="connection_failed"):
            await post(client, url.replace("http:", "https:"))


@pytest.fixture
def self_signed(tmp_path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "server.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_transient_and_nothing_is_sent(client, self_signed):
    received = bytearray()

    async def serve(reader, writer):
        received.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self_signed)
    with pytest.raises(Transient, match="connection_failed"):
        await post(client, f"https://localhost:{server.sockets[0].getsockname()[1]}/")
    server.close()

    assert not received


async def test_hanging_tls_is_transient(client):
    async with raw_server(lambda _: lambda *_: asyncio.Event().wait()) as (_, url):
        with pytest.raises(Transient, match="connection_failed"):
            await post(client, url.replace("http:", "https:"), QUICK)


async def test_waiting_for_the_pool_in_vain_is_transient():
    client = AiohttpClient(lambda: aiohttp.TCPConnector(limit=1))
    async with raw_server(lambda _: lambda *_: asyncio.Event().wait()) as (server, url):
        hanging = asyncio.create_task(post(client, url))
        await server.connected.wait()

        with pytest.raises(Transient, match="connection_failed"):
            await post(client, url, QUICK)

        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
    await client.close()


async def test_accept_and_close_is_in_doubt(client):
    def script(server):
        async def run(reader, writer):
            writer.close()

        return run

    async with raw_server(script) as (_, url):
        with pytest.raises(InDoubt, match="connection_lost"):
            await post(client, url)


async def test_close_after_the_request_is_in_doubt(client):
    def script(server):
        async def run(reader, writer):
            await server.read_request(reader)

        return run

    async with raw_server(script) as (server, url):
        with pytest.raises(InDoubt, match="connection_lost"):
            await post(client, url)

    assert len(server.requests) == 1


async def test_reset_after_the_request_is_in_doubt(client):
    def script(server):
        async def run(reader, writer):
            await server.read_request(reader)
            writer.transport.abort()

        return run

    async with raw_server(script) as (_, url):
        with pytest.raises(InDoubt, match="connection_lost"):
            await post(client, url)


async def test_reset_in_the_middle_of_a_large_request_is_in_doubt(client):
    def script(server):
        async def run(reader, writer):
            await reader.read(1000)
            writer.transport.abort()

        return run

    async with raw_server(script) as (_, url):
        with pytest.raises(InDoubt, match="connection_lost"):
            await post(client, url, body=b"x" * 900_000)


async def test_hang_is_in_doubt_within_the_timeout(client):
    async with raw_server(lambda _: lambda *_: asyncio.Event().wait()) as (_, url):
        started = asyncio.get_running_loop().time()
        with pytest.raises(InDoubt, match="no_answer"):
            await post(client, url, QUICK)

        assert asyncio.get_running_loop().time() - started < 2 * QUICK.total_seconds()


async def test_answer_dripping_beyond_the_deadline_is_in_doubt(client):
    def script(server):
        async def run(reader, writer):
            await server.read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.05)  # the drip itself, no synchronisation

        return run

    async with raw_server(script) as (_, url):
        started = asyncio.get_running_loop().time()
        with pytest.raises(InDoubt, match="no_answer"):
            await post(client, url, QUICK)

        assert asyncio.get_running_loop().time() - started < 2 * QUICK.total_seconds()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02 no HTTP at all\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_garbage_is_in_doubt(client, garbage):
    async with raw_server(answering(garbage)) as (_, url):
        with pytest.raises(InDoubt, match="malformed_answer"):
            await post(client, url)


async def test_an_answer_cut_short_is_in_doubt(client):
    def script(server):
        async def run(reader, writer):
            await server.read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
            await writer.drain()

        return run

    async with raw_server(script) as (_, url):
        with pytest.raises(InDoubt, match="malformed_answer"):
            await post(client, url)


async def test_of_ten_megabytes_only_64_kib_are_read_and_the_connection_is_dropped(client):
    sent = 0

    def script(server):
        async def run(reader, writer):
            nonlocal sent
            await server.read_request(reader)
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10000000\r\n\r\n")
            for _ in range(1000):
                writer.write(b"x" * 10_000)
                sent += 10_000
                await writer.drain()

        return run

    async with raw_server(script) as (server, url):
        answer = await post(client, url)
        await post(client, url)

    assert answer.status == 202
    assert len(answer.body) == MAX_ANSWER_BYTES
    assert server.connections == 2


async def test_a_header_value_with_a_line_break_never_leaves(client):
    async with raw_server(answering(OK)) as (server, url):
        with pytest.raises(ValueError, match=r"(?i)header|newline|carriage"):
            await client.post(url, headers={"x": "a\r\nevil: b"}, body=b"", timeout=AMPLE)

    assert not server.requests


def test_every_client_error_of_aiohttp_is_classified():
    """A new exception class in aiohttp must be looked at before this passes again."""
    nothing_sent = {
        "ClientConnectorCertificateError",
        "ClientConnectorDNSError",
        "ClientConnectorError",
        "ClientConnectorSSLError",
        "ClientSSLError",
        "ClientProxyConnectionError",
        "ConnectionTimeoutError",
        "InvalidURL",
        "InvalidUrlClientError",
        "InvalidUrlRedirectClientError",
        "NonHttpUrlClientError",
        "NonHttpUrlRedirectClientError",
        "ServerFingerprintMismatch",
    }
    after_something_left = {
        "ClientConnectionError",
        "ClientConnectionResetError",
        "ClientError",
        "ClientHttpProxyError",
        "ClientOSError",
        "ClientPayloadError",
        "ClientResponseError",
        "ContentTypeError",
        "RedirectClientError",
        "ServerConnectionError",
        "ServerDisconnectedError",
        "ServerTimeoutError",
        "SocketTimeoutError",
        "UploadAbortedError",
        "WSMessageTypeError",
        "WSServerHandshakeError",
    }

    found = {
        name
        for name in client_exceptions.__all__
        if issubclass(getattr(client_exceptions, name), http_client.NOTHING_SENT)
    }

    assert found == nothing_sent
    assert set(client_exceptions.__all__) - found == after_something_left


async def posted(url: str, *, body: bytes = b"{}") -> int:
    client = AiohttpClient()
    try:
        return (await client.post(url, headers={}, body=body, timeout=AMPLE)).status
    finally:
        await client.close()


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_call_asks_with_its_connection_in_hand_and_before_its_first_byte(body: bytes) -> None:
    async with raw_server(answering(OK)) as (server, url):
        seen: list[tuple[int, int]] = []

        async def may_start() -> None:
            await asyncio.sleep(0.05)
            seen.append((server.connections, len(server.requests)))

        calls_ask(may_start)
        status = await posted(url, body=body)

    assert status == 200
    assert seen == [(1, 0)]


@pytest.mark.parametrize("body", [b"{}", b""])
async def test_call_that_may_not_start_sends_nothing_and_says_why(body: bytes) -> None:
    async with raw_server(answering(OK)) as (server, url):

        async def may_start() -> None:
            raise Throttled("own_limit")

        calls_ask(may_start)
        with pytest.raises(Throttled, match="own_limit"):
            await posted(url, body=body)
        calls_ask(None)
        status = await posted(url, body=body)

    assert status == 200
    assert len(server.requests) == 1
