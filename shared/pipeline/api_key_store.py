"""Where API keys are kept, as a port."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.api_key import ApiKey
from shared.domain.identifiers import TenantId


class ApiKeyStore(Protocol):
    """``api-keys``. Every method raises StoreUnavailable."""

    async def read(self, key_id: str) -> ApiKey | None:
        """The key of that id; None when there is none."""
        ...

    async def list_for(self, tenant: TenantId) -> Sequence[ApiKey]:
        """The tenant's keys, in no order; those revoked are among them for a while."""
        ...

    async def create(self, key: ApiKey) -> None:
        """The key is kept."""
        ...

    async def replace(self, key: ApiKey) -> bool:
        """Whether the key is kept in place of the version it was read as; not when that was changed meanwhile."""
        ...

    async def note_use(self, key_id: str, at: datetime, unless_since: datetime) -> None:
        """The key was used, unless it is known to have been since."""
        ...
