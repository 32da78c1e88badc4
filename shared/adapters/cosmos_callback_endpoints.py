"""``callback-endpoints`` in Cosmos DB, with the tenant's list kept for a few seconds.

Every change of every notification asks for this list. Changes made through this process show at once, those made
elsewhere after ``FRESH_FOR_SECONDS`` at the latest.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.secret_box import SecretBox
from shared.contracts.stored_documents import Document, instant, stamp
from shared.domain.callback_endpoint import CallbackEndpoint, EndpointHealth, SigningSecret
from shared.domain.errors import NotFound, VersionChanged
from shared.domain.identifiers import TenantId

CONTAINER = "callback-endpoints"
FRESH_FOR_SECONDS = 5.0
_FIRST_SECRET = "sk0"  # noqa: S105 - the id of a secret that was stored before secrets had ids


@dataclass(frozen=True, slots=True)
class _Kept:
    endpoints: tuple[CallbackEndpoint, ...]
    until: float


class CosmosCallbackEndpointStore:
    """CallbackEndpointStore over Cosmos DB."""

    def __init__(
        self, database: CosmosDatabase, box: SecretBox, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._box = box
        self._monotonic = monotonic
        self._kept: dict[TenantId, _Kept] = {}
        self._reading: dict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def list_for(self, tenant: TenantId) -> Sequence[CallbackEndpoint]:
        if kept := self._fresh(tenant):
            return kept.endpoints
        async with self._reading[tenant]:
            if kept := self._fresh(tenant):
                return kept.endpoints
            asked_at = self._monotonic()  # what the answer says may be as old as the question
            endpoints = tuple(await self.list_now(tenant))
            self._kept[tenant] = _Kept(endpoints, asked_at + FRESH_FOR_SECONDS)
            return endpoints

    def _fresh(self, tenant: TenantId) -> _Kept | None:
        kept = self._kept.get(tenant)
        return kept if kept and kept.until > self._monotonic() else None

    async def list_now(self, tenant: TenantId) -> Sequence[CallbackEndpoint]:
        async with store_errors():
            pages = self._container.query_items(cosmos_queries.ENDPOINTS, partition_key=tenant)
            return [self._endpoint(document) async for document in pages]

    async def read(self, tenant: TenantId, endpoint_id: str) -> CallbackEndpoint:
        for endpoint in await self.list_for(tenant):
            if endpoint.id == endpoint_id:
                return endpoint
        return await self.read_now(tenant, endpoint_id)

    async def read_now(self, tenant: TenantId, endpoint_id: str) -> CallbackEndpoint:
        try:
            async with store_errors(NOT_FOUND):
                return self._endpoint(await self._container.read_item(endpoint_id, tenant))
        except CosmosHttpResponseError as error:
            raise NotFound(endpoint_id) from error

    async def create(self, endpoint: CallbackEndpoint) -> None:
        async with store_errors():
            await self._container.create_item(self._document(endpoint))
        self._kept.pop(endpoint.tenant_id, None)

    async def replace(self, endpoint: CallbackEndpoint) -> CallbackEndpoint:
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                stored = await self._container.replace_item(
                    endpoint.id,
                    self._document(endpoint),
                    etag=endpoint.version,
                    match_condition=MatchConditions.IfNotModified,
                )
        except CosmosHttpResponseError as error:
            raise VersionChanged("the callback endpoint was changed meanwhile") from error
        finally:
            self._kept.pop(endpoint.tenant_id, None)
        return self._endpoint(stored)

    async def delete(self, tenant: TenantId, endpoint_id: str) -> None:
        try:
            async with store_errors(NOT_FOUND):
                await self._container.delete_item(endpoint_id, tenant)
        except CosmosHttpResponseError as error:
            raise NotFound(endpoint_id) from error
        finally:
            self._kept.pop(tenant, None)

    async def seen_everywhere(self) -> None:
        await asyncio.sleep(FRESH_FOR_SECONDS)

    @property
    def _container(self) -> Any:
        return self._database.container(CONTAINER)

    def _document(self, endpoint: CallbackEndpoint) -> Document:
        return {
            "id": endpoint.id,
            "partitionKey": endpoint.tenant_id,
            "type": "endpoint",
            "url": endpoint.url,
            "statuses": list(endpoint.statuses),
            "secrets": [self._secret_document(secret, endpoint.id) for secret in endpoint.secrets],
            "createdAt": stamp(endpoint.created_at),
            "enabled": endpoint.enabled,
            "disabledReason": endpoint.disabled_reason,
            "disabledAt": stamp(endpoint.disabled_at),
            "description": endpoint.description,
            "metadata": dict(endpoint.metadata),
            "health": _health_document(endpoint.health),
        }

    def _secret_document(self, secret: SigningSecret, endpoint_id: str) -> Document:
        return {
            "id": secret.id,
            "sealed": self._box.seal(secret.value, endpoint_id),
            "createdAt": stamp(secret.created_at),
            "validUntil": stamp(secret.valid_until),
        }

    def _endpoint(self, document: Document) -> CallbackEndpoint:
        created_at = datetime.fromisoformat(document["createdAt"])
        return CallbackEndpoint(
            id=document["id"],
            tenant_id=TenantId(document["partitionKey"]),
            url=document["url"],
            statuses=tuple(document["statuses"]),
            secrets=tuple(self._secret(secret, document["id"], created_at) for secret in document["secrets"]),
            created_at=created_at,
            enabled=document["enabled"],
            disabled_reason=document["disabledReason"],
            disabled_at=instant(document.get("disabledAt")),
            description=document.get("description"),
            metadata=document.get("metadata", {}),
            health=_health(document.get("health", {})),
            version=document.get("_etag"),
        )

    def _secret(self, stored: Document | str, endpoint_id: str, created_at: datetime) -> SigningSecret:
        if isinstance(stored, str):  # as version 0.1 stored an endpoint's only secret
            return SigningSecret(_FIRST_SECRET, self._box.open(stored, endpoint_id), created_at)
        return SigningSecret(
            id=stored["id"],
            value=self._box.open(stored["sealed"], endpoint_id),
            created_at=datetime.fromisoformat(stored["createdAt"]),
            valid_until=instant(stored["validUntil"]),
        )


def _health_document(health: EndpointHealth) -> Document:
    return {
        "failingSince": stamp(health.failing_since),
        "failedAt": stamp(health.failed_at),
        "restsUntil": stamp(health.rests_until),
        "rests": health.rests,
    }


def _health(document: Document) -> EndpointHealth:
    return EndpointHealth(
        failing_since=instant(document.get("failingSince")),
        failed_at=instant(document.get("failedAt")),
        rests_until=instant(document.get("restsUntil")),
        rests=document.get("rests", 0),
    )
