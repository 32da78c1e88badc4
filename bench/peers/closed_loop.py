"""The load: so many requests, so many of them under way at any time, over keep-alive connections. The same for all."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import uvloop

from bench.http_connection import connect
from bench.quantiles import percentile

HOST = "127.0.0.1"


class Refused(Exception):
    """A peer answered otherwise than 2xx: what was measured would not be what is compared."""


@dataclass
class Answers:
    """What one load saw."""

    started: float = 0.0  # monotonic, as the fake provider's ledger
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def milliseconds(self, share: float) -> float:
        return percentile(self.latencies, share) * 1000


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A complete HTTP/1.1 request."""
    lines = [f"POST {path} HTTP/1.1", f"host: {HOST}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def send(port: int, requests: Iterator[bytes], connections: int) -> Answers:
    """Sends all requests.

    Raises:
        Refused: an answer was not 2xx.
    """
    answers = uvloop.run(_send(port, requests, connections))
    if answers.refusals:
        raise Refused(f"port {port}: {dict(answers.refusals)}")
    return answers


async def _send(port: int, requests: Iterator[bytes], connections: int) -> Answers:
    answers = Answers(started=time.monotonic())

    async def one_connection() -> None:
        connection = await connect(HOST, port)
        for raw in requests:
            began = time.monotonic()
            status, body = await connection.ask(raw)
            answers.latencies.append(time.monotonic() - began)
            if not 200 <= status < 300:
                answers.refusals[f"{status} {body[:120]!r}"] += 1
            if not connection.is_open:
                connection = await connect(HOST, port)
        connection.close()

    await asyncio.gather(*(one_connection() for _ in range(connections)))
    answers.seconds = time.monotonic() - answers.started
    return answers
