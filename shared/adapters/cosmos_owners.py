"""Tenants by tracking ids in Cosmos DB: a query over all partitions of ``notification-tracking``, for rare cases."""

from collections.abc import Mapping, Sequence

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import CosmosDatabase, store_errors
from shared.adapters.cosmos_notifications import CONTAINER
from shared.domain.identifiers import TenantId, TrackingId


class CosmosOwners:
    """pipeline.owners.Owners over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def owners_of(self, ids: Sequence[TrackingId]) -> Mapping[TrackingId, TenantId]:
        async with store_errors():
            pages = self._database.container(CONTAINER).query_items(
                cosmos_queries.OWNERS, parameters=[{"name": "@ids", "value": list(ids)}], max_item_count=len(ids)
            )
            return {
                TrackingId(found["id"]): TenantId(found["partitionKey"].rpartition(":")[0]) async for found in pages
            }
