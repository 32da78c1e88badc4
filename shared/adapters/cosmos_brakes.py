"""What the brakes count, in Cosmos DB: one small document for each subject, in one partition of ``rate-limits``.

Telling is one patch that adds to the window, conditional on the window being the current one. Only the first of a new
window reads and replaces.
"""

from collections.abc import Mapping
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.cosmos_limits import CONTAINER
from shared.domain.brakes import Tally
from shared.domain.errors import StoreUnavailable
from shared.domain.quarantine import Subject

_PARTITION = "brakes"
_RACES = 5


class CosmosBrakes:
    """BrakeStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def tell(self, subject: Subject, window: int, deliveries: int, failures: int) -> Tally:
        for _ in range(_RACES):
            told = await self._add(subject, window, deliveries, failures)
            if told is not None:
                return told
            document = await self._read(subject)
            if document is None:
                fresh = Tally(window, known_since=window)
                if await self._write(subject, fresh, etag=None):
                    continue
            elif document["window"] < window:
                await self._write(subject, _tally(document).rolled(window), etag=document["_etag"])
            elif document["window"] > window + 1:
                return _tally(document)  # too late to matter
        raise StoreUnavailable("the window moved under every attempt")

    async def _add(self, subject: Subject, window: int, deliveries: int, failures: int) -> Tally | None:
        """The tally after adding; None when the document's window is another, or there is none."""
        operations = [
            {"op": "incr", "path": "/deliveries", "value": deliveries},
            {"op": "incr", "path": "/failures", "value": failures},
        ]
        late = [{"op": "incr", "path": "/previous", "value": deliveries}]
        current = await self._patch(subject, operations, f"from c where c.window = {window}")
        # Many tell of a window only after it is over, when somebody may have begun the next.
        return current or await self._patch(subject, late, f"from c where c.window = {window + 1}")

    async def _patch(self, subject: Subject, operations: list[dict[str, Any]], condition: str) -> Tally | None:
        try:
            async with store_errors(PRECONDITION_FAILED, NOT_FOUND):
                document = await self._container.patch_item(
                    subject.key, _PARTITION, operations, filter_predicate=condition
                )
        except CosmosHttpResponseError:
            return None
        return _tally(document)

    async def _read(self, subject: Subject) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(subject.key, _PARTITION)
        except CosmosHttpResponseError:
            return None

    async def _write(self, subject: Subject, tally: Tally, etag: str | None) -> bool:
        document = {
            "id": subject.key,
            "partitionKey": _PARTITION,
            "type": "brakes",
            "window": tally.window,
            "deliveries": tally.deliveries,
            "failures": tally.failures,
            "previous": tally.previous,
            "peak": tally.peak,
            "knownSince": tally.known_since,
        }
        try:
            async with store_errors(CONFLICT, PRECONDITION_FAILED, NOT_FOUND):
                if etag is None:
                    await self._container.create_item(document)
                else:
                    await self._container.replace_item(
                        subject.key, document, etag=etag, match_condition=MatchConditions.IfNotModified
                    )
        except CosmosHttpResponseError:
            return False  # another process was first
        return True

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _tally(document: Mapping[str, Any]) -> Tally:
    return Tally(
        window=document["window"],
        deliveries=document["deliveries"],
        failures=document["failures"],
        previous=document["previous"],
        peak=document["peak"],
        known_since=document["knownSince"],
    )
