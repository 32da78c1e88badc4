"""``callback-endpoints`` in Cosmos DB, with the tenant's list kept for a few seconds.

Every change of every notification asks for this list. Changes made through this process show at once, those made
elsewhere after ``FRESH_FOR`` at the latest.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.secret_box import SecretBox
from shared.contracts.stored_documents import stamp
from shared.domain.errors import NotFound
from shared.domain.identifiers import TenantId
from shared.ports import CallbackEndpoint

CONTAINER = "callback-endpoints"
FRESH_FOR_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Kept:
    endpoints: tuple[CallbackEndpoint, ...]
    until: float


class CosmosCallbackEndpointStore:
    """CallbackEndpointStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, box: SecretBox) -> None:
        self._database = database
        self._box = box
        self._kept: dict[TenantId, _Kept] = {}
        self._reading: dict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def list_for(self, tenant: TenantId) -> Sequence[CallbackEndpoint]:
        kept = self._kept.get(tenant)
        if kept and kept.until > time.monotonic():
            return kept.endpoints
        async with self._reading[tenant]:
            kept = self._kept.get(tenant)
            if kept and kept.until > time.monotonic():
                return kept.endpoints
            endpoints = tuple(await self._query(tenant))
            self._kept[tenant] = _Kept(endpoints, time.monotonic() + FRESH_FOR_SECONDS)
            return endpoints

    async def _query(self, tenant: TenantId) -> list[CallbackEndpoint]:
        async with store_errors():
            pages = self._database.container(CONTAINER).query_items(cosmos_queries.ENDPOINTS, partition_key=tenant)
            return [self._endpoint(document) async for document in pages]

    async def read(self, tenant: TenantId, endpoint_id: str) -> CallbackEndpoint:
        for endpoint in await self.list_for(tenant):
            if endpoint.id == endpoint_id:
                return endpoint
        try:
            async with store_errors(NOT_FOUND):
                document = await self._database.container(CONTAINER).read_item(endpoint_id, tenant)
        except CosmosHttpResponseError as error:
            raise NotFound(endpoint_id) from error
        return self._endpoint(document)

    async def save(self, endpoint: CallbackEndpoint) -> None:
        async with store_errors():
            await self._database.container(CONTAINER).upsert_item(self._document(endpoint))
        self._kept.pop(endpoint.tenant_id, None)

    async def change(self, endpoint: CallbackEndpoint) -> None:
        try:
            async with store_errors(NOT_FOUND):
                await self._database.container(CONTAINER).replace_item(endpoint.id, self._document(endpoint))
        except CosmosHttpResponseError as error:
            raise NotFound(endpoint.id) from error
        finally:
            self._kept.pop(endpoint.tenant_id, None)

    async def disable(self, endpoint: CallbackEndpoint, reason: str) -> bool:
        container = self._database.container(CONTAINER)
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                stored = await container.read_item(endpoint.id, endpoint.tenant_id)
                if stored["url"] != endpoint.url:
                    return False
                changed = {**stored, "enabled": False, "disabledReason": reason}
                await container.replace_item(
                    endpoint.id, changed, etag=stored["_etag"], match_condition=MatchConditions.IfNotModified
                )
        except CosmosHttpResponseError:
            return False  # removed or changed in this instant, by its consumer
        finally:
            self._kept.pop(endpoint.tenant_id, None)
        return True

    async def delete(self, tenant: TenantId, endpoint_id: str) -> None:
        try:
            async with store_errors(NOT_FOUND):
                await self._database.container(CONTAINER).delete_item(endpoint_id, tenant)
        except CosmosHttpResponseError as error:
            raise NotFound(endpoint_id) from error
        finally:
            self._kept.pop(tenant, None)

    def _document(self, endpoint: CallbackEndpoint) -> dict[str, Any]:
        return {
            "id": endpoint.id,
            "partitionKey": endpoint.tenant_id,
            "type": "endpoint",
            "url": endpoint.url,
            "statuses": list(endpoint.statuses),
            "secrets": [self._box.seal(secret, endpoint.id) for secret in endpoint.secrets],
            "createdAt": stamp(endpoint.created_at),
            "enabled": endpoint.enabled,
            "disabledReason": endpoint.disabled_reason,
        }

    def _endpoint(self, document: dict[str, Any]) -> CallbackEndpoint:
        return CallbackEndpoint(
            id=document["id"],
            tenant_id=TenantId(document["partitionKey"]),
            url=document["url"],
            statuses=tuple(document["statuses"]),
            secrets=tuple(self._box.open(sealed, document["id"]) for sealed in document["secrets"]),
            created_at=datetime.fromisoformat(document["createdAt"]),
            enabled=document["enabled"],
            disabled_reason=document["disabledReason"],
        )
