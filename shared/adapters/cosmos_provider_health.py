"""The circuits of provider accounts in Cosmos DB (container ``rate-limits``), one document for each account.

Written on condition of the version that was read (ETag), so that of all processes that see the same thing one records
it, and of all that want to probe one does.
"""

from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.domain.breaker import Circuit, State, StoredCircuit

CONTAINER = "rate-limits"
_ID = "circuit"


class CosmosProviderHealth:
    """HealthStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def read(self, account: str) -> StoredCircuit:
        try:
            async with store_errors(NOT_FOUND):
                return _stored(await self._container.read_item(_ID, account))
        except CosmosHttpResponseError:
            return StoredCircuit(Circuit())

    async def write(self, account: str, circuit: Circuit, version: str | None) -> StoredCircuit | None:
        document = _document(account, circuit)
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                if version is None:
                    return _stored(await self._container.create_item(document))
                return _stored(
                    await self._container.replace_item(
                        _ID, document, etag=version, match_condition=MatchConditions.IfNotModified
                    )
                )
        except CosmosHttpResponseError:
            return None  # somebody else's write came first

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _document(account: str, circuit: Circuit) -> dict[str, Any]:
    return {
        "id": _ID,
        "partitionKey": account,
        "state": circuit.state.value,
        "until": circuit.until,
        "since": circuit.since,
        "probe": circuit.probe,
        "pacedUntil": circuit.paced_until,
    }


def _stored(document: dict[str, Any]) -> StoredCircuit:
    circuit = Circuit(
        state=State(document["state"]),
        until=document["until"],
        since=document["since"],
        probe=document["probe"],
        paced_until=document["pacedUntil"],
    )
    return StoredCircuit(circuit, document["_etag"])
