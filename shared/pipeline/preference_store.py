"""What is kept about customers: profiles, suppressed addresses, and the log by which processes learn of changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.identifiers import TenantId
from shared.domain.preferences import Change, Kept, Preferences, PreferencesVersion
from shared.domain.suppressed_address import AddressMark


class PreferenceStore(Protocol):
    """``customer-preferences``. Every method raises StoreUnavailable when the store can't be reached."""

    async def read(self, tenant: TenantId, customer_id: str) -> PreferencesVersion | None:
        """The profile; None when there is none."""
        ...

    async def replace(
        self, tenant: TenantId, customer_id: str, preferences: Preferences, version: str
    ) -> PreferencesVersion:
        """The profile, stored in place of ``version``, which is empty where there was none. Raises VersionChanged."""
        ...

    async def suppressed(self, tenant: TenantId, shard: int) -> Mapping[str, str]:
        """The suppressed addresses of one shard: digest → reason."""
        ...

    async def suppress(self, tenant: TenantId, mark: AddressMark, reason: str, at: datetime) -> None:
        """The address is suppressed."""
        ...

    async def lift(self, tenant: TenantId, mark: AddressMark, reason: str, until: datetime) -> bool:
        """Whether the address was suppressed for ``reason``, ``until`` then at the latest, and is no more."""
        ...

    async def kept(self, tenant: TenantId) -> Kept:
        """What is kept for the tenant."""
        ...

    async def tell(self, tenant: TenantId, subjects: Sequence[str]) -> None:
        """The log says that the subjects have changed."""
        ...

    async def changes(self, since: float) -> Sequence[Change]:
        """The log from ``since`` on, in the store's time (seconds); entries are kept for an hour."""
        ...

    async def now(self) -> float:
        """The store's time in seconds, whole ones: changes of this very second may still follow."""
        ...
