"""The whole service on the local stand-in, started once for all end-to-end tests, driven over its public API only."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 90  # a cold, busy machine; two seconds are usual
SMS_A_SECOND = 20
DATA = {"orderId": "A-1001", "orderTotal": "€ 49.90"}
_DEFAULT_PORTS = (5672, 5300, 8081, 7071, 7072, 7073, 7080, 7025)


@dataclass(frozen=True)
class Stack:
    """Where the running service is."""

    data: Path
    offset: int
    authorization: str

    def url(self, port: int, path: str = "") -> str:
        return f"http://127.0.0.1:{port + self.offset}{path}"

    @property
    def api(self) -> str:
        return self.url(7071, "/api/v1")

    @property
    def sandbox(self) -> str:
        return self.url(7080)

    def pid_of(self, part: str) -> int:
        return int(json.loads((self.data / "run.json").read_text())["parts"][part]["pid"])

    def kill(self, part: str) -> None:
        os.kill(self.pid_of(part), signal.SIGKILL)


def _free_offset() -> int:
    for offset in range(3000, 40_000, 1000):
        if all(_is_free(port + offset) for port in _DEFAULT_PORTS):
            return offset
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    data = tmp_path_factory.mktemp("local")
    offset = _free_offset()
    log = data / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_azure.up", "--data", str(data), "--port-offset", str(offset)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TWILIO_CALLS_PER_SECOND": str(SMS_A_SECOND)},
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while "everything is up" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield Stack(data, offset, _token(data, offset))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _token(data: Path, offset: int) -> str:
    command = [sys.executable, "-m", "local_azure.entra", "token", "--data", str(data / "entra")]
    line = subprocess.check_output([*command, "--port", str(7073 + offset)], cwd=ROOT, text=True)
    return line.strip().partition(": ")[2]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in any case
    json: Any


class Client:
    """A consuming service."""

    def __init__(self, session: aiohttp.ClientSession, stack: Stack) -> None:
        self.session = session
        self.stack = stack

    async def call(self, method: str, url: str, **options: Any) -> Answer:
        target = url if url.startswith("http") else self.stack.api + url
        async with self.session.request(method, target, **options) as answer:
            text = await answer.text()
            body = json.loads(text) if text and "json" in answer.content_type else text
            return Answer(answer.status, answer.headers, body)

    async def submit(self, body: dict[str, Any], **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.call("POST", "/notifications", json=body, headers=named)

    async def accepted(self, body: dict[str, Any], **headers: str) -> str:
        answer = await self.submit(body, **headers)
        assert answer.status == 202, answer
        return str(answer.json["trackingId"])

    async def view(self, tracking_id: str) -> dict[str, Any]:
        answer = await self.call("GET", f"/notifications/{tracking_id}")
        assert answer.status == 200, answer
        return dict(answer.json)

    async def view_when(self, tracking_id: str, *statuses: str, within: float = 20) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            view = await self.view(tracking_id)
            return view if view["status"] in statuses else None

        return await eventually(reached, within, f"{tracking_id} reaches {statuses}")

    async def provider_calls(self, tracking_id: str) -> list[dict[str, Any]]:
        async with self.session.get(self.stack.sandbox + "/ledger") as answer:
            lines = (await answer.text()).splitlines()
        return [line for line in map(json.loads, lines) if tracking_id in (line["attemptId"] or "")]


async def eventually(look: Callable[[], Awaitable[Any]], within: float, what: str) -> Any:
    """What ``look`` gives once it gives something; fails when it doesn't within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        if found := await look():
            return found
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    headers = {"Authorization": stack.authorization}
    timeout = aiohttp.ClientTimeout(total=40)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield Client(session, stack)


def email(mailbox: str = "ada@example.com", **more: Any) -> dict[str, Any]:
    """A request for one email."""
    template = {"id": "order-confirmation"}
    return {"recipient": {"email": mailbox}, "channels": ["email"], "template": template, "data": DATA} | more


def to(channel: str, stack: Stack, name: str = "demo") -> dict[str, Any]:
    """A request for one notification by ``channel``."""
    recipient = {
        "email": {"email": f"{name}@example.com"},
        "sms": {"phone": "+4915112345678"},
        "push": {"deviceTokens": [{"platform": "fcm", "token": name}]},
        "webhook": {"webhookUrl": f"{stack.sandbox}/webhooks/{name}"},
        "slack": {"slackWebhookUrl": f"{stack.sandbox}/services/{name}"},
        "whatsapp": {"phone": "+4915112345678"},
    }[channel]
    template = {"id": "order-confirmation", "locale": "de"}
    return {"recipient": recipient, "channels": [channel], "template": template, "data": DATA}
