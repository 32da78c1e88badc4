"""Takes an ASGI application and serves it with uvicorn on 127.0.0.1 as every part of the stand-in does.

One `ready:` line when it accepts, exit code 2 when the port is taken, exit code 0 on SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_azure.provider_sandbox.http_exchange import TRANSPORT_KEY

HOST = "127.0.0.1"
EXIT_PORT_IN_USE = 2

Lifetime = Callable[[int], contextlib.AbstractAsyncContextManager[Any]]
"""Given the port, what lives as long as the server does; its value is the ASGI application."""


class _CuttableProtocol(HttpToolsProtocol):
    """Lets the application reach the transport: ASGI itself has no way to break a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT_KEY] = self.transport  # type: ignore[typeddict-unknown-key]


class _AnnouncingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self._ready_line = ready_line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._ready_line, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        # uvicorn raises the signal again after a clean shutdown, so the exit code would be 143 instead of 0.
        self.should_exit = True


def bind(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes a free one. Raises: OSError when the port is in use."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def run(what: str, port: int, lifetime: Lifetime) -> int:
    """The process's exit code after serving until a signal."""
    try:
        listening = bind(port)
    except OSError as error:
        print(f"{what}: cannot listen on {HOST}:{port}: {error.strerror}", file=sys.stderr)
        return EXIT_PORT_IN_USE
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(what, listening, lifetime))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - absent on platforms it has no wheel for
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def _serve(what: str, listening: socket.socket, lifetime: Lifetime) -> None:
    port = listening.getsockname()[1]
    async with lifetime(port) as app:
        config = uvicorn.Config(
            app,
            http=_CuttableProtocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
            backlog=2048,
        )
        await _AnnouncingServer(config, f"ready: {what} on http://{HOST}:{port}").serve(sockets=[listening])
