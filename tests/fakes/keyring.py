"""Data keys without a store: the same for ever, made of their names."""

import hashlib
from collections.abc import Sequence

from shared.adapters.data_key import DataKey
from shared.domain.data_key import StoredKey
from shared.domain.identifiers import TenantId


class FixedKeyring:
    """DataKeyStore whose keys everybody has always known, except those that were ``destroyed``."""

    def __init__(self) -> None:
        self.destroyed: set[tuple[TenantId, str]] = set()

    def known(self, tenant: TenantId, key_id: str) -> DataKey | None:
        if (tenant, key_id) in self.destroyed:
            return None
        return DataKey(key_id, hashlib.sha256(f"{tenant}/{key_id}".encode()).digest())

    async def to_seal(self, tenant: TenantId, key_id: str) -> DataKey:
        key = self.known(tenant, key_id)
        assert key
        return key

    async def to_open(self, tenant: TenantId, key_id: str) -> DataKey | None:
        return self.known(tenant, key_id)

    async def stored(self) -> Sequence[StoredKey]:
        return ()

    async def newest_wrapping(self) -> str:
        return "none"

    async def rewrap(self, key: StoredKey) -> bool:
        return False

    async def is_used(self, key: StoredKey) -> bool:
        return True

    async def destroy(self, key: StoredKey) -> None:
        self.destroyed.add((key.tenant, key.id))
