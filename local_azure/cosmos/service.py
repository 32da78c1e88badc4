"""The running emulator: listener, background work, orderly stop.

Background work: removing expired items, moving SQLite's log into its file (in a thread), finishing automatic indexes.
"""

import asyncio
import contextlib
import errno
import logging
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from local_azure.cosmos.application import Emulator
from local_azure.cosmos.catalog import Catalog
from local_azure.cosmos.http_server import HttpProtocol
from local_azure.cosmos.store import Store

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0
_SWEEP_ROWS = 200
_CHECKPOINT_SECONDS = 1.0


class PortInUseError(Exception):
    """Another program listens on the port."""


class Service:
    """One emulator on one or two ports of 127.0.0.1."""

    def __init__(self, store: Store, emulator: Emulator) -> None:
        self.store = store
        self.emulator = emulator
        self.connections: set[HttpProtocol] = set()
        self.servers: list[asyncio.Server] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._checkpointed = 0

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        ranges: int,
        account_key: str | None,
        strict: bool = True,
        topology: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> "Service":
        store = Store(folder, clock)
        catalog = Catalog(store, ranges)
        if topology is not None:
            catalog.apply_topology(topology)
        return cls(store, Emulator(catalog, account_key=account_key, strict=strict))

    async def listen(self, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Starts accepting; gives the port, which is a free one when asked for 0."""
        scheme = "https" if tls is not None else "http"
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: HttpProtocol(self.emulator, scheme, self.connections), "127.0.0.1", port, ssl=tls, backlog=512
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"port {port} is in use"
                raise PortInUseError(message) from error
            raise
        self.servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def start_background(self) -> None:
        loop = asyncio.get_running_loop()
        self.tasks = [
            loop.create_task(self._repeat(_SWEEP_SECONDS, self._sweep)),
            loop.create_task(self._repeat(_CHECKPOINT_SECONDS, self._checkpoint)),
        ]
        for database in self.emulator.catalog.databases.values():
            for container in database.containers.values():
                self.emulator.filling.resume(container)

    async def _repeat(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except sqlite3.Error:
                # Tried again next time; giving up would let expired items and the log pile up.
                logger.exception("background work failed")

    async def _sweep(self) -> None:
        for database in list(self.emulator.catalog.databases.values()):
            for container in list(database.containers.values()):
                more = True
                while more and not container.is_dropped:
                    more = container.remove_expired(_SWEEP_ROWS) == _SWEEP_ROWS
                    await asyncio.sleep(0)

    async def _checkpoint(self) -> None:
        if self.store.connection.total_changes != self._checkpointed:
            self._checkpointed = self.store.connection.total_changes
            await asyncio.to_thread(self.store.checkpoint)
            self.store.finish_checkpoint()

    async def stop(self) -> None:
        for server in self.servers:
            server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.emulator.filling.stop()
        busy = [connection.task for connection in self.connections if connection.task is not None]
        for connection in list(self.connections):
            connection.close_when_idle()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*busy, return_exceptions=True), 1.5)
        self.store.close()
