"""The admin endpoint: health, depths, faults and the clock, over plain HTTP on 127.0.0.1.

GET /health, GET / (page), GET /entities.json, GET/POST/DELETE /faults, POST /clock {"advance_seconds": n}. HTTP/1.1,
one request a connection; bodies up to 64 KB.
"""

import asyncio
import html
import json
import logging
from dataclasses import asdict
from typing import Any

from local_azure.servicebus.entities_report import report
from local_azure.servicebus.faults import FaultError
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.server import Server

_LOGGER = logging.getLogger(__name__)
_MAX_BODY = 65_536
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large"}
_COLUMNS = ("active", "locked", "scheduled", "deferred", "dead_letter", "oldest_enqueued_at")


class AdminEndpoint:
    """Serves one `Server`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        self._listener = await asyncio.start_server(self._serve, host, port, limit=_MAX_BODY)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._listener:
            self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                status, kind, body = await self._answer(reader)
                head = (
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _LOGGER.debug("an admin request broke off")
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.split("\r\n")
        method, path = [*request_line.split(" "), "", ""][:2]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            return _json(413, {"error": "the body is too large"})
        body = await reader.readexactly(int(length))
        return self._route(method, path.partition("?")[0], body)

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        if (method, path) == ("GET", "/health"):
            return _json(200, {"status": "ok", "connections": len(self._server.connections)})
        if (method, path) == ("GET", "/entities.json"):
            return _json(200, {"entities": report(self._server.broker)})
        if (method, path) == ("GET", "/"):
            return 200, "text/html; charset=utf-8", self._page().encode()
        if path == "/faults":
            return self._faults(method, body)
        if (method, path) == ("POST", "/clock"):
            return self._clock(body)
        return _json(404, {"error": "GET /, /health, /entities.json, /faults; POST /faults, /clock; DELETE /faults"})

    def _faults(self, method: str, body: bytes) -> tuple[int, str, bytes]:
        faults = self._server.faults
        if method == "DELETE":
            faults.clear()
        elif method == "POST":
            try:
                self._strike_at_once(faults.add(_object(body)).kind)
            except FaultError as error:
                return _json(400, {"error": str(error)})
        elif method != "GET":
            return _json(405, {"error": "GET, POST or DELETE"})
        return _json(200, {"faults": [asdict(fault) for fault in faults.active()]})

    def _strike_at_once(self, kind: str) -> None:
        for connection in list(self._server.connections):
            if kind == "drop-connections":
                connection.abort()
            elif kind == "drop-links":
                for session in connection.sessions:
                    for link in list(session.links.values()):
                        session.detach(link, AmqpError("amqp:link:detach-forced", "detached by a fault switch"))

    def _clock(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            seconds = _object(body).get("advance_seconds")
            if not isinstance(seconds, int | float):
                return _json(400, {"error": "advance_seconds is a number"})
            self._server.clock.advance(seconds)
        except (FaultError, ValueError, OverflowError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"now_ms": self._server.clock.now_ms()})

    def _page(self) -> str:
        rows = []
        for entry in report(self._server.broker):
            cells = "".join(f"<td>{html.escape(str(entry.get(column, '') or 0))}</td>" for column in _COLUMNS)
            rows.append(f"<tr><th scope=row>{html.escape(str(entry['name']))}</th>{cells}</tr>")
        heads = "".join(f"<th scope=col>{column.replace('_', ' ')}</th>" for column in _COLUMNS)
        return (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Service Bus emulator</title>"
            "<style>body{font:15px system-ui;margin:2rem}td,th{padding:.3rem .8rem;text-align:left;"
            "border-bottom:1px solid #ccc}td{font-variant-numeric:tabular-nums}</style>"
            f"<h1>Service Bus emulator</h1><p>{len(self._server.connections)} connections</p>"
            f"<table><tr><th scope=col>entity</th>{heads}</tr>{''.join(rows)}</table></html>"
        )


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise FaultError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise FaultError("the body is a JSON object")
    return value


def _json(status: int, value: dict[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(value).encode()
