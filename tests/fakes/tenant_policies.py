"""Tenants' policies in memory: what a test puts there holds at once."""

from itertools import count

from shared.domain.errors import VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.tenant_policy import PolicyVersion, TenantPolicy


class FakeTenantPolicies:
    def __init__(self) -> None:
        self.stored: dict[str, PolicyVersion] = {}
        self._versions = count(1)

    def decide(self, tenant: str, policy: TenantPolicy) -> None:
        """``policy`` holds for the tenant from here on."""
        self.stored[tenant] = PolicyVersion(policy, str(next(self._versions)))

    async def find(self, tenant: TenantId) -> TenantPolicy:
        return (await self.read(tenant)).policy

    async def read(self, tenant: TenantId) -> PolicyVersion:
        return self.stored.get(tenant, PolicyVersion(TenantPolicy()))

    async def replace(self, tenant: TenantId, policy: TenantPolicy, version: str) -> PolicyVersion:
        if version != (await self.read(tenant)).version:
            raise VersionChanged("the policy was changed after it was read")
        self.decide(tenant, policy)
        return self.stored[tenant]
