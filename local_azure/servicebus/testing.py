"""The emulator inside a test: on a free port, with a clock to push ahead, and short forms for a topology.

async with running(topology(queues=[queue("orders")])) as emulator:
client = ServiceBusClient.from_connection_string(emulator.connection_string())
...
emulator.clock.advance(61)
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_azure.servicebus.admin import AdminEndpoint
from local_azure.servicebus.clock import Clock
from local_azure.servicebus.server import Limits, Server
from local_azure.servicebus.store import Store
from local_azure.servicebus.topology import parse_topology

ANY_KEY = "bm90IGEgc2VjcmV0"  # a signature by any key passes an emulator that was given none


def queue(name: str, **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties}


def topic(name: str, *subscriptions: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties, "Subscriptions": list(subscriptions)}


def subscription(name: str, *rules: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"Name": name, "Properties": properties, "Rules": list(rules)}


def sql(expression: str) -> dict[str, Any]:
    return {"Name": expression, "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": expression}}}


def correlation(**fields: Any) -> dict[str, Any]:
    return {"Name": "correlation", "Properties": {"FilterType": "Correlation", "CorrelationFilter": fields}}


def topology(*, queues: Sequence[dict[str, Any]] = (), topics: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A `Config.json` document."""
    return {"UserConfig": {"Namespaces": [{"Name": "ns", "Queues": list(queues), "Topics": list(topics)}]}}


@dataclass(frozen=True)
class RunningEmulator:
    """A server that listens, and what a test needs to know of it."""

    server: Server
    clock: Clock
    port: int
    admin_port: int

    def connection_string(self, key: str = ANY_KEY) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            f"SharedAccessKey={key};UseDevelopmentEmulator=true"
        )


@asynccontextmanager
async def running(
    document: dict[str, Any], *, data: Path | None = None, sas_key: str | None = None, limits: Limits | None = None
) -> AsyncIterator[RunningEmulator]:
    """An emulator in this process; without `data` its messages end with it."""
    clock = Clock()
    server = Server(parse_topology(document), Store(data), clock=clock, sas_key=sas_key, limits=limits)
    admin = AdminEndpoint(server)
    port = await server.start("127.0.0.1", 0)
    try:
        yield RunningEmulator(server, clock, port, await admin.start("127.0.0.1", 0))
    finally:
        await admin.stop()
        await server.stop()
