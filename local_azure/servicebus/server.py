"""The listening broker: accepts connections, and commits before anything is answered.

Everything a turn of the event loop changes is written in one transaction; only then do the answers leave. So
whatever a peer was told is stored, at the price of one commit for all connections that were busy in that turn.
"""

import asyncio
import logging
from dataclasses import dataclass

from local_azure.servicebus.broker import Broker
from local_azure.servicebus.cbs import Verifier
from local_azure.servicebus.clock import Clock
from local_azure.servicebus.connection import Connection
from local_azure.servicebus.faults import Faults
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.store import Store
from local_azure.servicebus.topology import Topology

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What the peers may do; the defaults are those of the standard tier."""

    max_message_bytes: int = 262_144
    max_links: int = 5_000
    idle_timeout_ms: int = 240_000


class Server:
    """See the module."""

    def __init__(
        self,
        topology: Topology,
        store: Store,
        *,
        clock: Clock | None = None,
        sas_key: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.limits = limits or Limits()
        self.store = store
        self.broker = Broker(topology, store, self.clock, self._commit)
        self.verifier = Verifier(sas_key, self.clock)
        self.faults = Faults(self.clock)
        self.connections: set[Connection] = set()
        self.container_id = "servicebus-emulator"
        self.failed = asyncio.Event()
        self._waiting: dict[Connection, bool] = {}
        self._listener: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which matters when it was asked to be any (0).

        Raises:
            OSError: when the port is in use.
        """
        self.loop = asyncio.get_running_loop()
        self.broker.start()
        self._listener = await self.loop.create_server(lambda: Connection(self), host, port, backlog=512)
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection, commit and close the store."""
        if self._listener:
            self._listener.close()
        for connection in list(self.connections):
            connection.fail(AmqpError("amqp:connection:forced", "the emulator is shutting down"))
        self._flush()
        self.broker.stop()
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)
        self.store.close()

    def flush_soon(self, connection: Connection, *, then_close: bool = False) -> None:
        """Let the connection write after the commit at the end of this turn."""
        if not self._waiting:
            self.loop.call_soon(self._flush)
        self._waiting[connection] = then_close or self._waiting.get(connection, False)

    def _flush(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            if not self._commit():
                return
            for connection, then_close in waiting.items():
                connection.flush()
                if then_close:
                    connection.close()

    def _commit(self) -> bool:
        """Whether everything is stored; if not, no answer may leave any more, and the process has to end."""
        try:
            self.store.commit()
        except Exception:
            _LOGGER.critical("the store cannot be written; stopping", exc_info=True)
            self.failed.set()
            for connection in list(self.connections):
                connection.abort()
            return False
        return True
