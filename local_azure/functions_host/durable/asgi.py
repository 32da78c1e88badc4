"""The little of ASGI that the HTTP API needs: takes a scope and its messages, gives a Request; sends a Response."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local_azure.functions_host.durable.json_text import dumps

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 16 * 1024 * 1024


class BodyTooLarge(Exception):
    """The request's body is over the limit."""


@dataclass(frozen=True)
class Request:
    """A request, with its path split into decoded segments below the API's own path."""

    method: str
    segments: list[str]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    origin: str
    """Scheme and authority as the caller wrote them."""

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean query parameter, written as .NET or Python writes it."""
        value = self.query.get(name.lower())
        return default if value is None else value.lower() == "true"

    def value(self, name: str) -> str | None:
        return self.query.get(name.lower())


@dataclass(frozen=True)
class Response:
    """An answer; ``content`` is JSON text, or empty."""

    status: int
    content: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def json_response(status: int, value: Any, **headers: str) -> Response:
    return Response(status, dumps(value), headers)


def query_of(scope: Scope) -> dict[str, str]:
    """The query's parameters by lower-case name."""
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return {name.lower(): value for name, value in pairs}


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: It has more than 16 MiB.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def send_response(send: Send, response: Response) -> None:
    content = response.content.encode()
    headers = {"content-length": str(len(content)), **response.headers}
    if content:
        headers.setdefault("content-type", "application/json; charset=utf-8")
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    await send({"type": "http.response.body", "body": content})
