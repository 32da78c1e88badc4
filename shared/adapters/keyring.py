"""Data keys: random, one for each tenant and week and one for each tenant's profiles, kept wrapped in ``data-keys``.

A key is unwrapped once a process (by Key Vault, or with the local key file) and stays in its memory, so sealing and
opening ask nobody. While Key Vault or the store is away, known keys go on working for as long as the process lives;
when a new week's key can't be made, what is new is sealed with the newest known one. Only a process that knows no key
of the tenant refuses.
"""

import asyncio
import logging
import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_queries
from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.data_key import KEY_BYTES, DataKey
from shared.contracts.sealing import is_week
from shared.domain.data_key import StoredKey
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId

logger = logging.getLogger(__name__)

CONTAINER = "data-keys"
ASK_AGAIN_AFTER_SECONDS = 30.0
KEPT_KEYS = 20_000  # about 200 bytes each; the oldest goes first and is unwrapped again when it is needed
_TRACKING = "notification-tracking"
_Place = tuple[TenantId, str]


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it is stored: which key of the wrapper opens it, and the bytes."""

    by: str
    data: bytes = field(repr=False)


class KeyWrapper(Protocol):
    """Whoever holds the key that data keys are wrapped with. Every method raises StoreUnavailable when it is away."""

    async def newest(self) -> str:
        """The name of the key that ``wrap`` uses."""
        ...

    async def wrap(self, secret: bytes) -> Wrapped:
        """The data key, wrapped."""
        ...

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        """The data key. Raises ValueError when it is not what was wrapped."""
        ...


class CosmosKeyring:
    """The data keys of all tenants, as this process knows them; Keyring and DataKeyStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, wrapper: KeyWrapper) -> None:
        self._database = database
        self._wrapper = wrapper
        self._known: dict[_Place, DataKey] = {}
        self._newest: dict[TenantId, DataKey] = {}
        self._ask_again_at = float("-inf")
        self._coming: dict[_Place, asyncio.Task[DataKey | None]] = {}

    def known(self, tenant: TenantId, key_id: str) -> DataKey | None:
        """The key, if this process has it already."""
        return self._known.get((tenant, key_id))

    async def to_seal(self, tenant: TenantId, key_id: str) -> DataKey:
        """The key, made if there is none; while it can't be had, the newest known one. Raises StoreUnavailable."""
        if key := self._known.get((tenant, key_id)):
            return key
        earlier = self._newest.get(tenant) if is_week(key_id) else None
        if earlier and asyncio.get_running_loop().time() < self._ask_again_at:
            return earlier
        try:
            made = await self._get((tenant, key_id), make=True)
        except StoreUnavailable:
            if earlier is None:
                raise
            self._ask_again_at = asyncio.get_running_loop().time() + ASK_AGAIN_AFTER_SECONDS
            logger.warning("A new data key can't be had; an earlier one is used", extra={"tenant_id": tenant})
            return earlier
        if made is None:
            raise StoreUnavailable("the data key was made and is gone")
        return made

    async def to_open(self, tenant: TenantId, key_id: str) -> DataKey | None:
        """The key; None when it was destroyed. Raises StoreUnavailable."""
        return self._known.get((tenant, key_id)) or await self._get((tenant, key_id), make=False)

    async def _get(self, place: _Place, *, make: bool) -> DataKey | None:
        """However many ask at a time, the key is unwrapped once."""
        task = self._coming.get(place)
        if task is None:
            task = self._coming[place] = asyncio.create_task(self._load(place, make=make))
            task.add_done_callback(lambda _: self._coming.pop(place, None))
        return await asyncio.shield(task)

    async def _load(self, place: _Place, *, make: bool) -> DataKey | None:
        tenant, key_id = place
        document = await self._read(tenant, key_id)
        if document is None:
            if not make:
                return None
            document = await self._make(tenant, key_id)
        secret = await self._wrapper.unwrap(Wrapped(document["wrappedBy"], b64decode(document["wrapped"])))
        return self._keep(place, DataKey(key_id, secret))

    def _keep(self, place: _Place, key: DataKey) -> DataKey:
        if len(self._known) >= KEPT_KEYS:
            self._known.pop(next(iter(self._known)))
        self._known[place] = key
        tenant, key_id = place
        newest = self._newest.get(tenant)
        if is_week(key_id) and (newest is None or int(newest.id[1:]) < int(key_id[1:])):
            self._newest[tenant] = key
        return key

    async def _read(self, tenant: TenantId, key_id: str) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                document: dict[str, Any] = await self._container.read_item(key_id, tenant)
        except CosmosHttpResponseError:
            return None
        return document

    async def _make(self, tenant: TenantId, key_id: str) -> dict[str, Any]:
        """The new key as it is stored; of several processes that make it, the first one's."""
        wrapped = await self._wrapper.wrap(os.urandom(KEY_BYTES))
        document = {
            "id": key_id,
            "partitionKey": tenant,
            "type": "data-key",
            "schemaVersion": 1,
            "tenantId": tenant,
            "wrappedBy": wrapped.by,
            "wrapped": b64encode(wrapped.data).decode(),
        }
        try:
            async with store_errors(CONFLICT):
                await self._container.create_item(document, no_response=True)
        except CosmosHttpResponseError as error:
            if (first := await self._read(tenant, key_id)) is None:
                raise StoreUnavailable("the data key was made and is gone") from error
            return first
        return document

    async def stored(self) -> Sequence[StoredKey]:
        """Every data key there is."""
        async with store_errors():
            pages = self._container.query_items(cosmos_queries.DATA_KEYS, max_item_count=1000)
            return [StoredKey(TenantId(each["tenantId"]), each["id"], each["wrappedBy"]) async for each in pages]

    async def newest_wrapping(self) -> str:
        """The name of the key that new data keys are wrapped with."""
        return await self._wrapper.newest()

    async def rewrap(self, key: StoredKey) -> bool:
        """Whether the key is now wrapped with the newest key; not when somebody else was faster."""
        document = await self._read(key.tenant, key.id)
        if document is None:
            return False
        secret = await self._wrapper.unwrap(Wrapped(document["wrappedBy"], b64decode(document["wrapped"])))
        wrapped = await self._wrapper.wrap(secret)
        changed = document | {"wrappedBy": wrapped.by, "wrapped": b64encode(wrapped.data).decode()}
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                await self._container.replace_item(
                    key.id, changed, etag=document["_etag"], match_condition=MatchConditions.IfNotModified
                )
        except CosmosHttpResponseError:
            return False
        return True

    async def is_used(self, key: StoredKey) -> bool:
        """Whether any notification is sealed with the key."""
        parameters: list[dict[str, Any]] = [
            {"name": "@tenant", "value": key.tenant},
            {"name": "@by", "value": key.id},
        ]
        async with store_errors():
            pages = self._database.container(_TRACKING).query_items(
                cosmos_queries.SEALED_WITH, parameters=parameters, max_item_count=1
            )
            return [document async for document in pages] != []

    async def destroy(self, key: StoredKey) -> None:
        """The key is gone: whatever was sealed with it, wherever a copy of it is, can't be read any more."""
        self._known.pop((key.tenant, key.id), None)
        try:
            async with store_errors(NOT_FOUND):
                await self._container.delete_item(key.id, key.tenant)
        except CosmosHttpResponseError:
            return  # somebody else destroyed it

    @property
    def _container(self) -> Any:
        return self._database.container(CONTAINER)
