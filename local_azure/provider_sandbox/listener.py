"""Serves a handler on 127.0.0.1 as every part of the stand-in does.

One `ready:` line when it accepts, exit code 2 when the port is taken, exit code 0 on SIGTERM or SIGINT.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable

from local_azure.provider_sandbox.http_connection import HttpConnection
from local_azure.provider_sandbox.http_exchange import Handler

HOST = "127.0.0.1"
EXIT_PORT_IN_USE = 2
BACKLOG = 2048
FINISH_SECONDS = 1.0
"""How long calls under way may still take after a signal."""

Lifetime = Callable[[int], contextlib.AbstractAsyncContextManager[Handler]]
"""Given the port, what lives as long as the server does; its value answers the requests."""


def bind(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes a free one. Raises: OSError (in use), OverflowError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError):
        listening.close()
        raise
    return listening


def run(what: str, port: int, lifetime: Lifetime) -> int:
    """The process's exit code after serving until a signal."""
    try:
        listening = bind(port)
    except (OSError, OverflowError) as error:
        print(f"{what}: cannot listen on {HOST}:{port}: {error}", file=sys.stderr)
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
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    port = listening.getsockname()[1]
    async with lifetime(port) as handler:
        connections: set[HttpConnection] = set()
        server = await loop.create_server(lambda: HttpConnection(handler, connections), sock=listening, backlog=BACKLOG)
        print(f"ready: {what} on http://{HOST}:{port}", flush=True)
        await stopping.wait()
        server.close()
        await _finish(connections)


async def _finish(connections: set[HttpConnection]) -> None:
    under_way = [connection.answering for connection in connections if connection.answering is not None]
    if under_way:
        _, late = await asyncio.wait(under_way, timeout=FINISH_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    for connection in list(connections):
        connection.close()
