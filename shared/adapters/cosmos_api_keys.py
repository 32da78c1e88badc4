"""API keys in Cosmos DB (container ``api-keys``): one document for each, in a partition of its own named by its id.

So a key that is presented costs a point read of one request unit. A tenant's keys are listed by a query over all
partitions, when somebody administers them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.contracts.stored_documents import instant, stamp
from shared.domain.api_key import ApiKey, KeyDigest, KeyKind
from shared.domain.identifiers import TenantId

CONTAINER = "api-keys"
REVOKED_KEPT_SECONDS = 90 * 24 * 3600  # so that a list still shows what a key was that is in some log


class CosmosApiKeys:
    """ApiKeyStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def read(self, key_id: str) -> ApiKey | None:
        try:
            async with store_errors(NOT_FOUND):
                document = await self._database.container(CONTAINER).read_item(key_id, key_id)
        except CosmosHttpResponseError:
            return None
        return _key(document)

    async def list_for(self, tenant: TenantId) -> Sequence[ApiKey]:
        async with store_errors():
            found = self._database.container(CONTAINER).query_items(
                cosmos_queries.API_KEYS, parameters=[{"name": "@tenantId", "value": tenant}]
            )
            return [_key(document) async for document in found]

    async def create(self, key: ApiKey) -> None:
        async with store_errors():
            await self._database.container(CONTAINER).create_item(_document(key), no_response=True)

    async def replace(self, key: ApiKey) -> bool:
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                await self._database.container(CONTAINER).replace_item(
                    key.id, _document(key), etag=key.version, match_condition=MatchConditions.IfNotModified
                )
        except CosmosHttpResponseError:
            return False
        return True

    async def note_use(self, key_id: str, at: datetime, unless_since: datetime) -> None:
        operations = [{"op": "set", "path": "/lastUsedAt", "value": at.timestamp()}]
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                await self._database.container(CONTAINER).patch_item(
                    key_id,
                    key_id,
                    operations,
                    filter_predicate=f"from c where c.lastUsedAt <= {unless_since.timestamp()}",
                    no_response=True,
                )
        except CosmosHttpResponseError:
            return  # another process has noted it, or the key is gone


def _document(key: ApiKey) -> dict[str, Any]:
    document = {
        "id": key.id,
        "partitionKey": key.id,
        "type": "api-key",
        "schemaVersion": 1,
        "tenantId": key.tenant_id,
        "kind": key.kind.value,
        "name": key.name,
        "roles": sorted(key.roles),
        "digests": [{"digest": each.digest, "until": stamp(each.until)} for each in key.digests],
        "createdAt": stamp(key.created_at),
        "createdBy": key.created_by,
        "expiresAt": stamp(key.expires_at),
        "revokedAt": stamp(key.revoked_at),
        "lastUsedAt": key.last_used_at.timestamp() if key.last_used_at else 0,  # a number: conditions compare it
        "recipients": sorted(key.recipients),
    }
    return document | ({"ttl": REVOKED_KEPT_SECONDS} if key.revoked_at else {})


def _key(document: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        id=document["id"],
        tenant_id=TenantId(document["tenantId"]),
        kind=KeyKind(document["kind"]),
        name=document["name"],
        roles=frozenset(document["roles"]),
        digests=tuple(KeyDigest(each["digest"], instant(each["until"])) for each in document["digests"]),
        created_at=datetime.fromisoformat(document["createdAt"]),
        created_by=document["createdBy"],
        expires_at=datetime.fromisoformat(document["expiresAt"]),
        revoked_at=instant(document["revokedAt"]),
        last_used_at=datetime.fromtimestamp(used, UTC) if (used := document["lastUsedAt"]) else None,
        recipients=frozenset(document["recipients"]),
        version=document["_etag"],
    )
