"""Whose attempts receipts are about, where the vendor's receipt has no room for a tenant.

Takes references of which some name no tenant, gives them with the tenant that has the tracking id, without those that
nobody has. It costs a query over all partitions, so it is only for receipts that change a status and can't be read any
other way; whoever posts them has shown the provider's credential before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from shared.domain.identifiers import AttemptRef, TenantId, TrackingId

MAX_IDS_A_QUERY = 100


class Owners(Protocol):
    """Tells tenants by tracking ids."""

    async def owners_of(self, ids: Sequence[TrackingId]) -> Mapping[TrackingId, TenantId]:
        """The tenant of each notification that exists, of at most 100. Raises StoreUnavailable."""
        ...


async def with_tenants(references: Sequence[AttemptRef], owners: Owners) -> Mapping[AttemptRef, AttemptRef]:
    """Each reference as it is with its tenant; those about no notification of ours are left out."""
    nameless = sorted({reference.tracking_id for reference in references if not reference.tenant})
    tenants: dict[TrackingId, TenantId] = {}
    for start in range(0, len(nameless), MAX_IDS_A_QUERY):
        tenants |= await owners.owners_of(nameless[start : start + MAX_IDS_A_QUERY])
    return {
        reference: reference if reference.tenant else replace(reference, tenant=tenants[reference.tracking_id])
        for reference in references
        if reference.tenant or reference.tracking_id in tenants
    }
