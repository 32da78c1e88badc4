"""A provider of all channels, and a consumer's callback receiver, that answers at once and remembers everything.

Outside the service: it knows the vendors' request shapes and nothing of the app. Run as its own process:
``python bench/fake_provider.py --port 9100``. ``GET /state`` tells what arrived, ``PUT /behaviour`` changes answers.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvicorn


class FakeProvider:
    """Counts provider calls by attempt id, and keeps callbacks as they came."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.callbacks: list[tuple[str, str, str, str]] = []
        self.behaviour: dict[str, Any] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, extra, answer = await self.answer(scope["method"], scope["path"], headers, body)
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": answer})

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        if method == "GET":
            state = {"calls": self.calls, "callbacks": self.callbacks}
            found = json.dumps(state if path == "/state" else {"ok": True}).encode()
            return 200, [(b"content-type", b"application/json")], found
        if method == "PUT":
            self.behaviour = json.loads(body)
            return 204, [], b""
        if path.startswith("/callbacks"):
            self.callbacks.append(
                (headers["webhook-id"], headers["webhook-timestamp"], headers["webhook-signature"], body.decode())
            )
            return 204, [], b""
        self.calls[attempt_id(path, headers, body)] += 1
        if delay := self.behaviour.get("delay"):
            await asyncio.sleep(delay)
        if status := self.behaviour.get("status"):
            return status, [], b"{}"
        if path == "/v3/mail/send":
            return 202, [(b"x-message-id", b"m1")], b""
        if path.startswith("/2010-04-01"):
            return 201, [(b"content-type", b"application/json")], b'{"sid":"SM1","status":"queued"}'
        if "/messages" in path:
            return 201, [(b"location", b"http://127.0.0.1/hub/messages/1-2-3?api-version=2020-06")], b""
        return 200, [], b""


def attempt_id(path: str, headers: dict[str, str], body: bytes) -> str:
    """The attempt a provider call belongs to, from where each vendor's request carries it."""
    if path == "/v3/mail/send":
        mail = json.loads(body)
        return str((mail.get("custom_args") or mail["personalizations"][0]["custom_args"])["attempt_id"])
    if path.startswith("/2010-04-01"):
        callback = parse_qs(body.decode())["StatusCallback"][0]
        return parse_qs(urlsplit(callback).query)["attempt_id"][0]
    if "/messages" in path:
        push = json.loads(body)
        return str(push.get("attempt_id") or push["message"]["data"]["attempt_id"])
    return headers["webhook-id"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9100)
    port = parser.parse_args().port
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(FakeProvider(), host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
