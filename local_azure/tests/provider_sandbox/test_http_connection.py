"""The HTTP side, byte by byte: what clients other than ours may send."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from .conftest import SENDGRID_HEADERS, mail


@pytest.fixture
def connection(sandbox):
    with closing(socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=5)) as opened:
        yield opened


def read_until(connection, end):
    received = bytearray()
    while not received.endswith(end):
        part = connection.recv(65536)
        assert part, received
        received += part
    return bytes(received)


def test_pipelined_requests_are_answered_in_order(connection):
    names = [f"pipelined-{number}" for number in range(100)]
    connection.sendall(b"".join(b"GET /callbacks/%b HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode() for name in names))
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    received = b""
    while part := connection.recv(65536):
        received += part

    assert received.count(b"HTTP/1.1 200 OK") == 101
    assert received.count(b"\r\n\r\n[]") == 100
    assert received.rpartition(b"\r\n\r\n")[2].startswith(b'{"status":"ok"')


def test_a_chunked_body_is_put_together(connection, sandbox):
    connection.sendall(b"POST /callbacks/chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.sendall(b"5\r\nhello\r\n")
    connection.sendall(b"6\r\n world\r\n0\r\n\r\n")
    read_until(connection, b'{"received":true}')

    assert sandbox.get("/callbacks/chunked").json()[-1]["body"] == "hello world"


def test_a_client_that_asks_first_is_told_to_go_on(connection):
    connection.sendall(b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    read_until(connection, b"HTTP/1.1 100 Continue\r\n\r\n")

    connection.sendall(b"{}")

    assert b" 200 OK" in read_until(connection, b'{"received":true}')


def test_an_offer_of_another_protocol_is_ignored(connection):
    connection.sendall(
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"
    )

    assert b" 200 OK" in read_until(connection, b"}")


def test_a_head_request_gets_no_body(connection):
    connection.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    received = b""
    while part := connection.recv(65536):
        received += part

    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"NO\r\n\r\n"]
)
def test_what_is_not_http_is_refused_and_the_connection_closed(connection, garbage):
    connection.sendall(garbage)

    received = b""
    while part := connection.recv(65536):
        received += part

    assert received.startswith(b"HTTP/1.1 400 ")


def test_an_old_client_gets_its_answer_and_the_end(connection):
    connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")

    received = b""
    while part := connection.recv(65536):
        received += part

    assert b"Connection: close" in received


def test_a_slow_reader_of_a_long_ledger_does_not_hold_up_others(start):
    sandbox = start()
    for _ in range(20):
        sandbox.send_email(*[f"p{number}@example.com" for number in range(1000)])
    with closing(socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=5)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        slow.sendall(b"GET /ledger HTTP/1.1\r\nHost: x\r\n\r\n")
        assert slow.recv(4096).startswith(b"HTTP/1.1 200 OK")

        assert sandbox.send_email("ann@example.com").status_code == 202
        rest = read_until(slow, b"\r\n0\r\n\r\n")

    assert b"ann@example.com" not in rest, "the end was fixed when the ledger was asked for"


def test_an_address_with_escapes_is_read(sandbox):
    sandbox.post("/callbacks/caf%C3%A9", data=b"{}")

    assert len(sandbox.get("/callbacks/café").json()) == 1


def test_text_that_is_no_unicode_is_refused(sandbox):
    body = mail("a@b.example") | {"subject": "\ud800"}

    assert sandbox.post("/v3/mail/send", json=body, headers=SENDGRID_HEADERS).status_code == 400
