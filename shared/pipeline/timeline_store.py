"""``customer-timeline``: where the index of notifications is kept."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shared.domain.identifiers import TenantId, TrackingId
from shared.domain.notification import Notification
from shared.domain.timeline import Entry, Page, Wanted


class TimelineStore(Protocol):
    """The index. Every method raises StoreUnavailable."""

    async def add(self, tenant: TenantId, entries: Sequence[Entry]) -> None:
        """The entries are in the index; those that were in it stay as they are."""
        ...

    async def newest(self, wanted: Wanted, limit: int) -> Sequence[Page]:
        """The first ``limit`` pages that are wanted, newest window first."""
        ...

    async def read_all(self, tenant: TenantId, ids: Sequence[TrackingId]) -> Mapping[TrackingId, Notification]:
        """The notifications as they stand; those that are gone are left out."""
        ...
