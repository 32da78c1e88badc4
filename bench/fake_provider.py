"""A provider of all channels, and a consumer's callback receiver, that answers at once and remembers everything.

Outside the service: it knows the vendors' request shapes and nothing of the app. It is the ledger that the bench and
the campaign believe. Run as its own process: ``python -m bench.fake_provider --port 9100`` (or the file). A raw
protocol over httptools, because its CPU time counts against what the machine has left for the service.

``GET /counts`` {"requests", "calls", "notifications", "callbacks"}. ``GET /ledger?from=N`` [[attempt id, monotonic
seconds], …] from the N-th call on; a request that carries many attempts is a call for each. ``GET /state`` {"calls":
{attempt id: count}, "callbacks": […]}. ``PUT /behaviour`` {"status": 503, "delay": seconds, "channel": "email"}; each
may be missing, and {} is health again. Everything else is a provider call.
"""

import argparse
import asyncio
import signal
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools
import orjson
import uvloop

_JSON = b"content-type: application/json\r\n"


def attempt_ids(path: str, headers: dict[str, str], body: bytes) -> list[str]:
    """The attempts that a provider call carries, from where each vendor's request has them."""
    if path == "/v3/mail/send":
        mail = orjson.loads(body)
        shared = mail.get("custom_args") or {}
        return [str((shared | (each.get("custom_args") or {}))["attempt_id"]) for each in mail["personalizations"]]
    if path.startswith("/2010-04-01"):
        callback = parse_qs(body.decode())["StatusCallback"][0]
        return [parse_qs(urlsplit(callback).query)["attempt_id"][0]]
    if path == "/emails:send":
        return [str(orjson.loads(body)["headers"]["X-CNS-Attempt-Id"])]
    if "/messages" in path:
        push = orjson.loads(body)
        return [str(push.get("attempt_id") or push["message"]["data"]["attempt_id"])]
    return [headers["webhook-id"]]


class Ledger:
    """Every provider call in order of arrival, every callback, and how to answer."""

    def __init__(self) -> None:
        self.requests = 0
        self.calls: list[tuple[str, float]] = []
        self.notifications: set[str] = set()
        self.callbacks: list[tuple[str, str, str, str]] = []
        self.behaviour: dict[str, Any] = {}

    def note(self, attempts: list[str]) -> None:
        now = time.monotonic()
        self.requests += 1
        self.calls += [(attempt, now) for attempt in attempts]
        self.notifications.update(attempt.rsplit(".", 2)[0] for attempt in attempts)

    def read(self, path: str, query: str) -> bytes:
        """The answer to a GET."""
        if path == "/ledger":
            return orjson.dumps(self.calls[int(parse_qs(query).get("from", ["0"])[0]) :])
        if path == "/state":
            calls = Counter(attempt for attempt, _ in self.calls)
            return orjson.dumps({"calls": calls, "callbacks": self.callbacks})
        counts = {"requests": self.requests, "calls": len(self.calls), "notifications": len(self.notifications)}
        return orjson.dumps(counts | {"callbacks": len(self.callbacks)})

    def ill(self, attempt: str) -> dict[str, Any]:
        """The behaviour asked for, where it concerns the attempt's channel."""
        channel = self.behaviour.get("channel")
        return self.behaviour if channel is None or attempt.split(".")[-2] == channel else {}


def accepted(path: str) -> bytes:
    """What the vendor answers when it takes the message."""
    if path == "/v3/mail/send":
        return response(202, b"x-message-id: m1\r\n")
    if path.startswith("/2010-04-01"):
        return response(201, _JSON, b'{"sid":"SM1","status":"queued"}')
    if "/messages" in path:
        return response(201, b"location: http://127.0.0.1/hub/messages/1-2-3?api-version=2020-06\r\n")
    return response(200)


def response(status: int, headers: bytes = b"", body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d -\r\n%bcontent-length: %d\r\n\r\n%b" % (status, headers, len(body), body)


class Exchange(asyncio.Protocol):
    """One connection."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._transport: Any = None
        self._parser: Any = None
        self._begin()

    def _begin(self) -> None:
        self._url, self._headers, self._body = b"", dict[str, str](), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method, headers, body = self._parser.get_method(), self._headers, self._body
        path, _, query = self._url.decode("latin-1").partition("?")
        self._begin()
        if method == b"GET":
            self._answer(response(200, _JSON, self._ledger.read(path, query)))
        elif method == b"PUT":
            self._ledger.behaviour = orjson.loads(body)
            self._answer(response(204))
        elif path.startswith("/callbacks"):
            signed = tuple(headers[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
            self._ledger.callbacks.append((*signed, body.decode()))
            self._answer(response(204))
        else:
            self._call(path, headers, body)

    def _call(self, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            attempts = attempt_ids(path, headers, body)
        except (LookupError, ValueError):
            self._answer(response(400, body=b"no attempt id"))
            return
        self._ledger.note(attempts)
        ill = self._ledger.ill(attempts[0])
        answer = response(ill["status"], _JSON, b"{}") if ill.get("status") else accepted(path)
        if ill.get("delay"):
            asyncio.get_running_loop().call_later(ill["delay"], self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, raw: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(raw)


async def serve(port: int) -> None:
    loop, ledger, stop = asyncio.get_running_loop(), Ledger(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Exchange(ledger), "127.0.0.1", port, backlog=1024)
    print(f"ready: fake provider on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9100)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
