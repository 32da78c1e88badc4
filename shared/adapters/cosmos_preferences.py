"""``customer-preferences`` in Cosmos DB.

| partition | document | holds |
|---|---|---|
| tenant:customer | ``profile`` | one customer's profile |
| tenant:!suppressed-NN | ``addresses`` | the suppressed addresses of one shard, by digest |
| tenant:!kept | ``kept`` | what is kept for the tenant at all |
| !changes | a new id each | the log of changes, for an hour |
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import (
    CONFLICT,
    NOT_FOUND,
    PRECONDITION_FAILED,
    CosmosDatabase,
    store_errors,
    store_time,
)
from shared.contracts.preference_documents import preferences_of, profile_document
from shared.contracts.sealing import PROFILES, Keyring, sealed_by
from shared.contracts.stored_documents import stamp
from shared.domain.errors import VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.preferences import Change, Kept, Preferences, PreferencesVersion
from shared.domain.suppressed_address import AddressMark

CONTAINER = "customer-preferences"
LOG_SECONDS = 3600
_LOG = "!changes"
_PROFILE, _ADDRESSES, _KEPT = "profile", "addresses", "kept"


class CosmosPreferences:
    """PreferenceStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)

    async def _read(self, document_id: str, partition: str) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                document: dict[str, Any] = await self._container.read_item(document_id, partition)
        except CosmosHttpResponseError:
            return None
        return document

    async def read(self, tenant: TenantId, customer_id: str) -> PreferencesVersion | None:
        document = await self._read(_PROFILE, f"{tenant}:{customer_id}")
        if document is None:
            return None
        key_id = sealed_by(document)
        key = await self._keyring.to_open(tenant, key_id) if key_id else None
        return PreferencesVersion(preferences_of(document, key), document["_etag"])

    async def replace(
        self, tenant: TenantId, customer_id: str, preferences: Preferences, version: str
    ) -> PreferencesVersion:
        # Said first: who looks for a profile and finds that the tenant keeps none never looks again.
        await self._note(tenant, "profiles")
        key = await self._keyring.to_seal(tenant, PROFILES)
        document = profile_document(tenant, customer_id, preferences, key)
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                if version:
                    stored = await self._container.replace_item(
                        _PROFILE, document, etag=version, match_condition=MatchConditions.IfNotModified
                    )
                else:
                    stored = await self._container.create_item(document)
        except CosmosHttpResponseError as error:
            raise VersionChanged("the profile was changed after it was read") from error
        return PreferencesVersion(preferences, stored["_etag"])

    async def suppressed(self, tenant: TenantId, shard: int) -> Mapping[str, str]:
        document = await self._read(_ADDRESSES, _shard(tenant, shard))
        members = document["members"] if document else {}
        return {digest: entry["reason"] for digest, entry in members.items()}

    async def suppress(self, tenant: TenantId, mark: AddressMark, reason: str, at: datetime) -> None:
        await self._note(tenant, "suppressions")
        partition = _shard(tenant, mark.shard)
        entry = {"reason": reason, "at": stamp(at)}
        operation = {"op": "set", "path": f"/members/{mark.digest}", "value": entry}
        if not await self._patch(_ADDRESSES, partition, operation):
            document = {"id": _ADDRESSES, "partitionKey": partition, "tenantId": tenant, "members": {}}
            await self._create(document)
            await self._patch(_ADDRESSES, partition, operation)

    async def lift(self, tenant: TenantId, mark: AddressMark, reason: str, until: datetime) -> bool:
        operation = {"op": "remove", "path": f"/members/{mark.digest}"}
        member = f"c.members['{mark.digest}']"
        condition = f"from c where {member}.reason = '{reason}' and {member}.at <= '{stamp(until)}'"
        return await self._patch(_ADDRESSES, _shard(tenant, mark.shard), operation, condition)

    async def kept(self, tenant: TenantId) -> Kept:
        document = await self._read(_KEPT, f"{tenant}:!kept") or {}
        return Kept(document.get("profiles", False), document.get("suppressions", False))

    async def _note(self, tenant: TenantId, what: str) -> None:
        partition = f"{tenant}:!kept"
        known = await self._read(_KEPT, partition)
        if known is None:
            await self._create({"id": _KEPT, "partitionKey": partition, "tenantId": tenant, what: True})
        if known is None or not known.get(what):
            await self._patch(_KEPT, partition, {"op": "set", "path": f"/{what}", "value": True})
            await self.tell(tenant, ["kept"])

    async def tell(self, tenant: TenantId, subjects: Sequence[str]) -> None:
        for subject in subjects:
            await self._create(
                {
                    "id": secrets.token_hex(12),
                    "partitionKey": _LOG,
                    "tenantId": tenant,
                    "subject": subject,
                    "ttl": LOG_SECONDS,
                }
            )

    async def changes(self, since: float) -> Sequence[Change]:
        async with store_errors():
            pages = self._container.query_items(
                cosmos_queries.CHANGES_SINCE,
                parameters=[{"name": "@since", "value": int(since)}],
                partition_key=_LOG,
                max_item_count=1000,
            )
            return [
                Change(each["id"], TenantId(each["tenantId"]), each["subject"], float(each["at"]))
                async for each in pages
            ]

    async def now(self) -> float:
        return float(int(await store_time(self._container, _LOG)))

    async def _create(self, document: dict[str, Any]) -> None:
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item(document, no_response=True)
        except CosmosHttpResponseError:
            return  # somebody else made it, which is as good

    async def _patch(
        self, document_id: str, partition: str, operation: dict[str, Any], condition: str | None = None
    ) -> bool:
        """Whether the document was there (and the condition held)."""
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                await self._container.patch_item(
                    document_id, partition, [operation], filter_predicate=condition, no_response=True
                )
        except CosmosHttpResponseError:
            return False
        return True


def _shard(tenant: TenantId, shard: int) -> str:
    return f"{tenant}:!suppressed-{shard:02x}"
