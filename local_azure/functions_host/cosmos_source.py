"""What a Cosmos DB trigger reads from and where it keeps its leases, through azure-cosmos.

Takes the trigger's binding, gives a change-feed reader: one page of changes and the token after it. The SDK reports the
token of a page through the client's last response headers, which concurrent calls overwrite; so each trigger has
its own client for the feed and reads one page at a time.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local_azure.functions_host.function_table import Binding
from local_azure.functions_host.host_settings import Connection, resolve_connection
from local_azure.functions_host.identity import make_credential

_DEFAULT_CONNECTION = "CosmosDB"
_DEFAULT_LEASES = "leases"


@dataclass(frozen=True)
class CosmosTrigger:
    """The trigger's options with Azure's defaults."""

    connection: Connection
    database: str
    container: str
    lease_connection: Connection
    lease_database: str
    lease_container: str
    lease_prefix: str
    creates_lease_container: bool
    poll_seconds: float
    max_items: int
    start: datetime | str
    acquire_seconds: float
    expiration_seconds: float
    renew_seconds: float


def read_trigger(binding: Binding, environment: Mapping[str, str]) -> CosmosTrigger:
    """Read the binding.

    Raises:
        SettingsInvalid: a connection or an expression is missing.
    """
    connection_name = binding.text("connection", environment) or _DEFAULT_CONNECTION
    lease_connection_name = binding.text("leaseConnection", environment) or connection_name
    database = binding.text("databaseName", environment)
    start_text = binding.text("startFromTime", environment)
    start: datetime | str = "Beginning" if binding.flag("startFromBeginning") else "Now"
    if start_text:
        start = datetime.fromisoformat(start_text)
    return CosmosTrigger(
        connection=resolve_connection(connection_name, "accountEndpoint", environment),
        database=database,
        container=binding.text("containerName", environment),
        lease_connection=resolve_connection(lease_connection_name, "accountEndpoint", environment),
        lease_database=binding.text("leaseDatabaseName", environment) or database,
        lease_container=binding.text("leaseContainerName", environment) or _DEFAULT_LEASES,
        lease_prefix=binding.text("leaseContainerPrefix", environment),
        creates_lease_container=binding.flag("createLeaseContainerIfNotExists"),
        poll_seconds=binding.number("feedPollDelay", 5000) / 1000,
        max_items=binding.number("maxItemsPerInvocation", 100),
        start=start,
        acquire_seconds=binding.number("leaseAcquireInterval", 13_000) / 1000,
        expiration_seconds=binding.number("leaseExpirationInterval", 60_000) / 1000,
        renew_seconds=binding.number("leaseRenewInterval", 17_000) / 1000,
    )


def make_client(connection: Connection) -> CosmosClient:
    """One client; its own retries stay short, the listener retries for as long as the account is away."""
    options: dict[str, Any] = {"retry_total": 1, "connection_timeout": 5}
    if connection.connection_string is not None:
        return CosmosClient.from_connection_string(connection.connection_string, **options)
    assert connection.endpoint is not None  # noqa: S101 - Connection has one or the other
    return CosmosClient(connection.endpoint, make_credential(connection), **options)


async def open_lease_container(client: CosmosClient, trigger: CosmosTrigger) -> ContainerProxy:
    """The leases container, created where the trigger says so."""
    database = client.get_database_client(trigger.lease_database)
    if trigger.creates_lease_container:
        return await database.create_container_if_not_exists(trigger.lease_container, PartitionKey(path="/id"))
    return database.get_container_client(trigger.lease_container)


@dataclass(frozen=True)
class FeedPage:
    """Changes in order, and where to read on."""

    documents: list[dict[str, Any]]
    continuation: str | None


class ChangeFeed:
    """The change feed of one container, latest-version mode."""

    def __init__(self, client: CosmosClient, trigger: CosmosTrigger) -> None:
        self._container = client.get_database_client(trigger.database).get_container_client(trigger.container)
        self._trigger = trigger
        self._lock = asyncio.Lock()

    async def ranges(self) -> list[dict[str, Any]]:
        async with self._lock:
            return [feed_range async for feed_range in self._container.read_feed_ranges(force_refresh=True)]

    async def read(self, feed_range: dict[str, Any], continuation: str | None) -> FeedPage:
        """One page; no documents when there is nothing new (the token is then still the one to go on with)."""
        position: dict[str, Any] = (
            {"continuation": continuation}
            if continuation
            else {"feed_range": feed_range, "start_time": self._trigger.start}
        )
        async with self._lock:
            feed = self._container.query_items_change_feed(max_item_count=self._trigger.max_items, **position)
            documents: list[dict[str, Any]] = []
            async for page in feed.by_page():
                documents = [document async for document in page]
                break
            headers: Mapping[str, str] = self._container.client_connection.last_response_headers or {}
            return FeedPage(documents, headers.get("etag") or continuation)
