"""One HTTP exchange: the `Request` a handler takes and the `Reply` it gives.

A handler may answer None: the connection is then cut without a word, as a crashing provider does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import orjson

MAX_BODY_BYTES = 32 * 1024 * 1024
"""A little above the largest message a provider takes (SendGrid: 30 MB), so that the provider's own 413 is seen."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One HTTP request, read to its end. Header names are in lower case."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes

    def query(self) -> dict[str, str]:
        """The query's parameters, the last of equal names; parameters without a value are kept."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


@dataclass(slots=True)
class Reply:
    """One HTTP answer; `stream` replaces the body where an answer must dribble or is long."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None

    def head(self, *, closes: bool) -> bytes:
        """Status line and headers as they go over the wire."""
        lines = _STATUS_LINES.get(self.status, f"HTTP/1.1 {self.status} Unnamed\r\n")
        if self.content_type:
            lines += f"Content-Type: {self.content_type}\r\n"
        for name, value in self.headers:
            lines += f"{name}: {value}\r\n"
        if self.stream is not None:
            lines += "Transfer-Encoding: chunked\r\n"
        elif self.status != HTTPStatus.NO_CONTENT:
            lines += f"Content-Length: {len(self.body)}\r\n"
        return (lines + ("Connection: close\r\n\r\n" if closes else "\r\n")).encode("latin-1")


Handler = Callable[[Request], Awaitable[Reply | None]]


def json_reply(content: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Reply:
    return Reply(status, orjson.dumps(content), "application/json", headers or [])


def problem(status: int, detail: str) -> Reply:
    """An error of the sandbox's own endpoints; vendors' errors have the vendors' shapes."""
    return Reply(status, orjson.dumps({"status": status, "detail": detail}), "application/problem+json")
