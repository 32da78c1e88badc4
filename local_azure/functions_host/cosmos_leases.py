"""Leases: which host reads which range of a change feed, and how far it got.

Takes the leases container, gives acquired ``Lease`` records; every write is conditional on the document's etag, so two
hosts never hold the same lease. The shape follows the change feed processor (Owner, ContinuationToken,
timestamp); ids differ from Azure's, so a leases container is never to be shared with it.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)

_LOG = logging.getLogger("host.cosmos")


class LeaseLostError(Exception):
    """Another host took the lease."""


@dataclass
class Lease:
    """One lease document."""

    document: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def owner(self) -> str:
        return str(self.document.get("Owner") or "")

    @property
    def continuation(self) -> str | None:
        return self.document.get("ContinuationToken")

    @property
    def feed_range(self) -> dict[str, Any]:
        return dict(self.document["FeedRange"])

    def age_seconds(self, now: datetime) -> float:
        return (now - datetime.fromisoformat(self.document["timestamp"])).total_seconds()


class LeaseStore:
    """The leases of one trigger (same prefix and monitored container), seen by one host."""

    def __init__(
        self,
        container: ContainerProxy,
        *,
        prefix: str,
        owner: str,
        expiration_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._container = container
        self._prefix = prefix
        self._owner = owner
        self._expiration_seconds = expiration_seconds
        self._clock = clock

    async def read_all(self) -> list[Lease]:
        query = self._container.query_items(
            "SELECT * FROM c WHERE STARTSWITH(c.id, @prefix)",
            parameters=[{"name": "@prefix", "value": self._prefix}],
        )
        return [Lease(document) async for document in query]

    async def create(self, feed_ranges: list[dict[str, Any]]) -> None:
        """Write a lease for each range; another host may have been first."""
        for feed_range in feed_ranges:
            bounds = feed_range.get("Range", {})
            document = {
                "id": f"{self._prefix}{bounds.get('min', '')}-{bounds.get('max', '')}",
                "FeedRange": feed_range,
                "Owner": "",
                "ContinuationToken": None,
                "timestamp": self._clock().isoformat(),
            }
            try:
                await self._container.create_item(document)
            except CosmosResourceExistsError:
                _LOG.debug("lease %s exists already", document["id"])

    def to_take(self, leases: list[Lease]) -> list[Lease]:
        """Which leases this host should take now: its fair share of the free ones, or one from a host with more.

        A host that restarts finds its own leases from before, whose owner is itself: it takes them at once.
        """
        now = self._clock()
        live = [lease for lease in leases if lease.owner and lease.age_seconds(now) < self._expiration_seconds]
        counts = Counter(lease.owner for lease in live)
        hosts = len({*counts, self._owner})
        share = -(-len(leases) // hosts)
        own = [lease for lease in live if lease.owner == self._owner]
        free = [lease for lease in leases if lease not in live]
        missing = share - len(own)
        if missing <= 0:
            return own
        if free:
            return own + free[:missing]
        richest, most = counts.most_common(1)[0]
        if richest != self._owner and most > share:
            return [*own, next(lease for lease in live if lease.owner == richest)]
        return own

    async def acquire(self, lease: Lease) -> Lease:
        return await self._write(lease, {"Owner": self._owner})

    async def renew(self, lease: Lease) -> Lease:
        return await self._write(lease, {})

    async def checkpoint(self, lease: Lease, continuation: str | None) -> Lease:
        return await self._write(lease, {"ContinuationToken": continuation})

    async def release(self, lease: Lease) -> Lease:
        return await self._write(lease, {"Owner": ""})

    async def _write(self, lease: Lease, changes: dict[str, Any]) -> Lease:
        document = {**lease.document, **changes, "timestamp": self._clock().isoformat()}
        try:
            written = await self._container.replace_item(
                lease.id, document, etag=lease.document["_etag"], match_condition=MatchConditions.IfNotModified
            )
        except (CosmosAccessConditionFailedError, CosmosResourceNotFoundError) as error:
            raise LeaseLostError(lease.id) from error
        return Lease(dict(written))
