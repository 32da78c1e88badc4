"""Where endpoints are kept, as use cases see it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from shared.domain.callback_endpoint import CallbackEndpoint
from shared.domain.errors import Conflict, VersionChanged
from shared.domain.identifiers import TenantId

_RACES = 5


class CallbackEndpointStore(Protocol):
    """``callback-endpoints``. Every method raises StoreUnavailable."""

    async def list_for(self, tenant: TenantId) -> Sequence[CallbackEndpoint]:
        """The tenant's endpoints, as they were a few seconds ago."""
        ...

    async def list_now(self, tenant: TenantId) -> Sequence[CallbackEndpoint]:
        """The tenant's endpoints as they are stored."""
        ...

    async def read(self, tenant: TenantId, endpoint_id: str) -> CallbackEndpoint:
        """One endpoint, as it was a few seconds ago. Raises NotFound."""
        ...

    async def read_now(self, tenant: TenantId, endpoint_id: str) -> CallbackEndpoint:
        """One endpoint as it is stored. Raises NotFound."""
        ...

    async def create(self, endpoint: CallbackEndpoint) -> None:
        """The new endpoint is stored."""
        ...

    async def replace(self, endpoint: CallbackEndpoint) -> CallbackEndpoint:
        """The endpoint, stored in place of its ``version``. Raises VersionChanged, also when it was removed."""
        ...

    async def delete(self, tenant: TenantId, endpoint_id: str) -> None:
        """The endpoint is gone. Raises NotFound."""
        ...

    async def seen_everywhere(self) -> None:
        """Nothing, once every process sees what was stored before."""
        ...


async def change_endpoint(
    store: CallbackEndpointStore,
    tenant: TenantId,
    endpoint_id: str,
    change: Callable[[CallbackEndpoint], CallbackEndpoint | None],
) -> CallbackEndpoint | None:
    """The endpoint once ``change`` is made to what is stored; None when ``change`` finds nothing to do.

    ``change`` may be asked again, when somebody else changed the endpoint in between.

    Raises:
        NotFound: there is no such endpoint.
        Conflict: others keep changing it.
    """
    for _ in range(_RACES):
        wanted = change(await store.read_now(tenant, endpoint_id))
        if wanted is None:
            return None
        try:
            return await store.replace(wanted)
        except VersionChanged:
            continue
    raise Conflict("the callback endpoint is being changed by others")
