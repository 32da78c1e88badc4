"""The circuit and the release clock of each provider account in Cosmos DB (container ``rate-limits``).

Written on condition of the version that was read (ETag): of all processes that see the same thing one records it, of
all that want to probe one does, and no time is given out twice.
"""

from collections.abc import Mapping
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.domain.breaker import Circuit, State, StoredCircuit
from shared.domain.release_clock import ReleaseClock, StoredClock

_Document = dict[str, Any]

CONTAINER = "rate-limits"
_CIRCUIT = "circuit"
_CLOCK = "release-clock"


class CosmosProviderHealth:
    """HealthStore and ReleaseStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def read(self, account: str) -> StoredCircuit:
        document = await self._read(account, _CIRCUIT)
        return _circuit(document) if document else StoredCircuit(Circuit())

    async def write(self, account: str, circuit: Circuit, version: str | None) -> StoredCircuit | None:
        fields = {
            "state": circuit.state.value,
            "until": circuit.until,
            "since": circuit.since,
            "probe": circuit.probe,
            "pacedUntil": circuit.paced_until,
        }
        stored = await self._write(account, _CIRCUIT, fields, version)
        return _circuit(stored) if stored else None

    async def read_clock(self, account: str) -> StoredClock:
        document = await self._read(account, _CLOCK)
        return _clock(document) if document else StoredClock(ReleaseClock())

    async def write_clock(self, account: str, clock: ReleaseClock, version: str | None) -> StoredClock | None:
        fields = {"high": clock.high, "normal": clock.normal, "low": clock.low}
        stored = await self._write(account, _CLOCK, fields, version)
        return _clock(stored) if stored else None

    async def _read(self, account: str, document_id: str) -> _Document | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(document_id, account)
        except CosmosHttpResponseError:
            return None

    async def _write(
        self, account: str, document_id: str, fields: Mapping[str, str | float], version: str | None
    ) -> _Document | None:
        document = {"id": document_id, "partitionKey": account, **fields}
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                if version is None:
                    return await self._container.create_item(document)
                return await self._container.replace_item(
                    document_id, document, etag=version, match_condition=MatchConditions.IfNotModified
                )
        except CosmosHttpResponseError:
            return None  # somebody else's write came first

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _circuit(document: _Document) -> StoredCircuit:
    circuit = Circuit(
        state=State(document["state"]),
        until=document["until"],
        since=document["since"],
        probe=document["probe"],
        paced_until=document["pacedUntil"],
    )
    return StoredCircuit(circuit, document["_etag"])


def _clock(document: _Document) -> StoredClock:
    clock = ReleaseClock(high=document["high"], normal=document["normal"], low=document["low"])
    return StoredClock(clock, document["_etag"])
