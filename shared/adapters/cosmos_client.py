"""The way into Cosmos DB: one client per process, made on first use, and its errors in our own words."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError
from azure.identity.aio import DefaultAzureCredential

from shared.adapters import cosmos_queries
from shared.adapters.store_meter import StoreMeter
from shared.domain.errors import StoreUnavailable
from shared.domain.quick_dataclass import quick_dataclass

CONFLICT, NOT_FOUND, PRECONDITION_FAILED = 409, 404, 412
_CONNECT_SECONDS = 2
_READ_SECONDS = 10
_CALL_SECONDS = 8  # an accept that can't commit says so before a gateway's usual patience of 10 s is over
_RACES_BEFORE_ONE_BY_ONE = 3
_MS_A_SECOND = 1000.0
_PAGE = 100  # documents the store hands over at a time


@dataclass(frozen=True, slots=True)
class CosmosSettings:
    """Where the database is: a connection string (local), or an endpoint reached by managed identity (Azure)."""

    database: str
    connection: str | None = None
    account_endpoint: str | None = None


class CosmosDatabase:
    """The containers of one database. Nothing connects before the first call."""

    def __init__(self, settings: CosmosSettings) -> None:
        self._settings = settings
        self._client: CosmosClient | None = None
        self.meter = StoreMeter()
        self._containers: dict[str, ContainerProxy] = {}

    def container(self, name: str) -> ContainerProxy:
        """The container ``name``; the same object every time."""
        if name not in self._containers:
            self._containers[name] = (
                self._open().get_database_client(self._settings.database).get_container_client(name)
            )
        return self._containers[name]

    def _open(self) -> CosmosClient:
        if self._client is None:
            # Retries here cover connections only; attempts, sweeps and redeliveries own everything else.
            # The transport is told not to look for proxies and netrc files, which it would do anew for each call.
            options: dict[str, Any] = {
                "connection_timeout": _CONNECT_SECONDS,
                "read_timeout": _READ_SECONDS,
                "transport": AioHttpTransport(use_env_settings=False),
                "raw_response_hook": self.meter.note,
            }
            if self._settings.connection:
                self._client = CosmosClient.from_connection_string(self._settings.connection, **options)
            elif self._settings.account_endpoint:
                self._client = CosmosClient(self._settings.account_endpoint, DefaultAzureCredential(), **options)
            else:
                raise ValueError("COSMOS_CONNECTION or COSMOS_CONNECTION__accountEndpoint must be set")
        return self._client

    async def close(self) -> None:
        """All connections are closed."""
        if self._client is not None:
            await self._client.close()
            self._client = None
            self._containers.clear()


@asynccontextmanager
async def store_errors(*expected: int) -> AsyncIterator[None]:
    """Lets the ``expected`` HTTP statuses through as the SDK raises them; everything else is StoreUnavailable."""
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            yield
    except CosmosHttpResponseError as error:
        if error.status_code in expected:
            raise
        raise StoreUnavailable(f"Cosmos DB answered {error.status_code}") from error
    except CosmosBatchOperationError as error:
        if error.status_code in expected:
            raise
        raise StoreUnavailable(f"Cosmos DB refused a batch with {error.status_code}") from error
    except (AzureError, TimeoutError, OSError) as error:
        raise StoreUnavailable(type(error).__name__) from error


async def store_time(container: ContainerProxy, partition: str) -> float:
    """The store's clock in seconds, to the millisecond; ``partition`` is who is asked. Raises StoreUnavailable."""
    async with store_errors():
        pages = container.query_items(cosmos_queries.STORE_TIME, partition_key=partition)
        milliseconds: Any = await anext(aiter(pages))
        return float(milliseconds) / _MS_A_SECOND


async def read_by_ids(container: ContainerProxy, partition: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The documents of one partition by their ids, as far as there are any. Raises StoreUnavailable."""
    async with store_errors():
        pages = container.query_items(
            cosmos_queries.BY_IDS,
            parameters=[{"name": "@ids", "value": list(ids)}],
            partition_key=partition,
            max_item_count=_PAGE,
        )
        return {document["id"]: document async for document in pages}


@quick_dataclass(frozen=True, slots=True)
class Patch:
    """One conditional patch of one document (at most 10 operations)."""

    id: str
    operations: Sequence[dict[str, Any]]
    condition: str


@dataclass(frozen=True, slots=True)
class PatchRefused:
    """The document is not there (404), or the condition does not hold (412)."""

    status: int


async def patch_together(
    container: ContainerProxy, partition: str, patches: Sequence[Patch]
) -> list[dict[str, Any]] | None:
    """The document after each patch, or None when one was refused and so nothing was done."""
    try:
        async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
            answers = await container.execute_item_batch([_batch_entry(patch) for patch in patches], partition)
    except CosmosBatchOperationError:
        return None
    return [answer["resourceBody"] for answer in answers]


async def patch_all(
    container: ContainerProxy, partition: str, patches: Sequence[Patch], *, no_response: bool = False
) -> list[dict[str, Any] | PatchRefused]:
    """The document after each patch, or why it was refused; in order. All documents are in one partition.

    With ``no_response`` the documents stay in the store and an empty one stands for each: most of a patch's cost here
    is reading the document that comes back.

    One transactional batch carries them all (a tenth of the cost of one call each). It is all or nothing, so a refused
    patch is taken out and the rest is tried again; after three such races the remaining ones go one by one.
    """
    results: list[dict[str, Any] | PatchRefused | None] = [None] * len(patches)
    remaining = list(range(len(patches)))
    for _ in range(_RACES_BEFORE_ONE_BY_ONE):
        if len(remaining) <= 1:
            break
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                entries = [_batch_entry(patches[i]) for i in remaining]
                answers = await container.execute_item_batch(entries, partition, no_response=no_response)
        except CosmosBatchOperationError as error:
            failed = remaining.pop(error.error_index)
            results[failed] = PatchRefused(error.status_code or PRECONDITION_FAILED)
            continue
        for index, answer in zip(remaining, answers, strict=True):
            results[index] = answer.get("resourceBody", {})
        remaining = []
    for index in remaining:
        results[index] = await _patch_one(container, partition, patches[index], no_response=no_response)
    return [result for result in results if result is not None]


def _batch_entry(patch: Patch) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    return ("patch", (patch.id, list(patch.operations)), {"filter_predicate": patch.condition})


async def _patch_one(
    container: ContainerProxy, partition: str, patch: Patch, *, no_response: bool
) -> dict[str, Any] | PatchRefused:
    try:
        async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
            return await container.patch_item(
                patch.id,
                partition,
                list(patch.operations),
                filter_predicate=patch.condition,
                no_response=no_response,
            )
    except CosmosHttpResponseError as error:
        return PatchRefused(error.status_code or PRECONDITION_FAILED)
