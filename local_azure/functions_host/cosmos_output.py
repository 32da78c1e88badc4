"""Output bindings of type cosmosDB: the documents that a function set or returned are upserted, one by one.

Takes the JSON array that the official converter makes of a Document or DocumentList; an invocation counts as failed if
one cannot be written, as in Azure (those before it stay). ``createIfNotExists`` makes database and container at the
first write. https://learn.microsoft.com/azure/azure-functions/functions-bindings-cosmosdb-v2-output
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local_azure.functions_host.cosmos_source import make_client
from local_azure.functions_host.function_table import Binding
from local_azure.functions_host.host_settings import Connection, resolve_connection

_DEFAULT_CONNECTION = "CosmosDB"


@dataclass(frozen=True)
class Target:
    """The container that an output names."""

    connection: Connection
    database: str
    container: str
    partition_key: str  # empty unless the container may be made


def read_target(binding: Binding, environment: Mapping[str, str]) -> Target:
    """The container of the binding.

    Raises:
        SettingsInvalid: a connection or an expression is missing.
    """
    name = binding.text("connection", environment) or _DEFAULT_CONNECTION
    creates = binding.flag("createIfNotExists")
    return Target(
        connection=resolve_connection(name, "accountEndpoint", environment),
        database=binding.text("databaseName", environment),
        container=binding.text("containerName", environment),
        partition_key=(binding.text("partitionKey", environment) or "/id") if creates else "",
    )


class DocumentOutput:
    """Writes to one container."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client: CosmosClient | None = None
        self._container: ContainerProxy | None = None
        self._opening = asyncio.Lock()

    async def send(self, documents: str | bytes) -> None:
        """Return when all documents are written.

        Raises:
            AzureError: one is not.
        """
        async with self._opening:
            container = self._container or await self._open()
        for document in json.loads(documents):
            await container.upsert_item(document)

    async def _open(self) -> ContainerProxy:
        if self._client is None:
            self._client = make_client(self._target.connection)
        await self._client.__aenter__()
        database = self._client.get_database_client(self._target.database)
        container = database.get_container_client(self._target.container)
        if self._target.partition_key:
            database = await self._client.create_database_if_not_exists(self._target.database)
            key = PartitionKey(path=self._target.partition_key)
            container = await database.create_container_if_not_exists(self._target.container, key)
        self._container = container
        return container

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
