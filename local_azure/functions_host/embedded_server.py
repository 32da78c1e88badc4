"""uvicorn inside the host's own loop: takes an ASGI application and a bound socket, serves until told to stop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from local_azure.functions_host.http_front import AsgiApp, Receive, Scope, Send

_LOG = logging.getLogger("host.http")


class EmbeddedServer(uvicorn.Server):
    """Signals are the host's business."""

    def __init__(self, application: AsgiApp) -> None:
        super().__init__(
            uvicorn.Config(
                _for_clients_that_leave(application),
                interface="asgi3",
                loop="none",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def start_on(self, bound: socket.socket) -> None:
        self._serving = asyncio.create_task(self.serve(sockets=[bound]))

    async def stop(self) -> None:
        self.should_exit = True
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)


def _for_clients_that_leave(application: AsgiApp) -> AsgiApp:
    """The application; an answer to a client that has closed its connection is dropped.

    uvloop refuses to write to a closed transport with a RuntimeError, where asyncio's own loop ignores it.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_if_there(message: Scope) -> None:
            try:
                await send(message)
            except RuntimeError as error:
                if "closed" not in str(error):
                    raise
                _LOG.debug("a client left before its answer")

        await application(scope, receive, send_if_there)

    return serve
