"""``tenant-policies`` in Cosmos DB: one document for each tenant that something was decided for.

Every request and every chunk asks for its tenant's policy, so what was read is kept, also that there is nothing. A
store that is away changes nothing: the last known policy goes on to hold. Only a process that never read a tenant's
policy has to assume one, and says so.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.domain.errors import StoreUnavailable, VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.tenant_policy import FrequencyCap, Mode, PolicyVersion, ProviderShare, TenantPolicy

logger = logging.getLogger(__name__)

CONTAINER = "tenant-policies"
FRESH_FOR_SECONDS = 30.0
ASKED_AGAIN_AFTER_SECONDS = 5.0  # when the store could not be read
READ_SECONDS = 1.0  # how long a request waits for a policy that may have changed
_ID = "policy"


@dataclass(frozen=True, slots=True)
class _Kept:
    policy: TenantPolicy
    until: float


class CosmosTenantPolicies:
    """TenantPolicies over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._kept: dict[TenantId, _Kept] = {}
        self._reading: dict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def find(self, tenant: TenantId) -> TenantPolicy:
        kept = self._kept.get(tenant)
        if kept and kept.until > self._monotonic():
            return kept.policy
        async with self._reading[tenant]:
            kept = self._kept.get(tenant)
            if kept is None or kept.until <= self._monotonic():
                kept = self._kept[tenant] = await self._refreshed(tenant, kept)
            return kept.policy

    async def _refreshed(self, tenant: TenantId, known: _Kept | None) -> _Kept:
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = (await self.read(tenant)).policy
        except (StoreUnavailable, TimeoutError, KeyError, TypeError, ValueError) as error:
            # The last three: a newer version of this service wrote what this one does not know.
            logger.warning("Tenant policy not readable", extra={"tenant_id": tenant, "cause": type(error).__name__})
            policy = known.policy if known else TenantPolicy(is_assumed=True)
            return _Kept(policy, self._monotonic() + ASKED_AGAIN_AFTER_SECONDS)
        return _Kept(found, self._monotonic() + FRESH_FOR_SECONDS)

    async def read(self, tenant: TenantId) -> PolicyVersion:
        try:
            async with store_errors(NOT_FOUND):
                document = await self._database.container(CONTAINER).read_item(_ID, tenant)
        except CosmosHttpResponseError:
            return PolicyVersion(TenantPolicy())
        return _version(document)

    async def replace(self, tenant: TenantId, policy: TenantPolicy, version: str) -> PolicyVersion:
        container = self._database.container(CONTAINER)
        document = _document(tenant, policy)
        try:
            async with store_errors(CONFLICT, NOT_FOUND, PRECONDITION_FAILED):
                if version:
                    stored = await container.replace_item(
                        _ID, document, etag=version, match_condition=MatchConditions.IfNotModified
                    )
                else:
                    stored = await container.create_item(document)
        except CosmosHttpResponseError as error:
            raise VersionChanged("the policy was changed after it was read") from error
        finally:
            self._kept.pop(tenant, None)
        return _version(stored)


def _document(tenant: TenantId, policy: TenantPolicy) -> dict[str, Any]:
    countries = policy.sms_countries
    return {
        "id": _ID,
        "partitionKey": tenant,
        "type": "tenant-policy",
        "schemaVersion": 1,
        "mode": policy.mode.value,
        "livePercent": policy.live_percent,
        "providers": {
            channel: [{"name": share.name, "weight": share.weight} for share in shares]
            for channel, shares in policy.providers.items()
        },
        "preferCheapest": policy.prefer_cheapest,
        "sendsPerSecond": policy.sends_per_second,
        "requestsPerSecond": policy.requests_per_second,
        "requestsPerDay": policy.requests_per_day,
        "smsCountries": None if countries is None else sorted(countries),
        "dailySpend": policy.daily_spend,
        "frequencyCaps": {
            channel: {"sends": cap.sends, "perSeconds": cap.per.total_seconds()}
            for channel, cap in policy.frequency_caps.items()
        },
        "maxSmsPerPrefixPerMinute": policy.max_sms_per_prefix_per_minute,
    }


def _version(document: dict[str, Any]) -> PolicyVersion:
    """The policy in a document; what an older one lacks has its default."""
    countries = document.get("smsCountries")
    policy = TenantPolicy(
        mode=Mode(document["mode"]),
        live_percent=document["livePercent"],
        providers={
            channel: tuple(ProviderShare(share["name"], share.get("weight")) for share in shares)
            for channel, shares in document.get("providers", {}).items()
        },
        prefer_cheapest=document.get("preferCheapest", False),
        sends_per_second=document.get("sendsPerSecond"),
        requests_per_second=document.get("requestsPerSecond"),
        requests_per_day=document.get("requestsPerDay"),
        sms_countries=None if countries is None else frozenset(countries),
        daily_spend=document.get("dailySpend"),
        frequency_caps={
            channel: FrequencyCap(cap["sends"], timedelta(seconds=cap["perSeconds"]))
            for channel, cap in document.get("frequencyCaps", {}).items()
        },
        max_sms_per_prefix_per_minute=document.get("maxSmsPerPrefixPerMinute"),
    )
    return PolicyVersion(policy, document["_etag"])
