"""What is remembered of a tenant's SMS, by country: since when it is sent to, and what receipts said lately.

Kept for tenants with a policy on SMS only. Read at most every few seconds in each process; a signal needs no more.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from shared.domain.identifiers import TenantId
from shared.domain.sms_pumping import Receipts

UNASSIGNED = "unassigned"  # stands for the country of a number whose calling code nobody has
_FRESH_FOR_SECONDS = 15.0
_MOST_KEPT = 10_000

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class SmsRecordStore(Protocol):
    """``rate-limits``: the records. Every method may raise StoreUnavailable."""

    async def first_sent(self, tenant: TenantId) -> Mapping[str, float]:
        """When each country was first sent to, in seconds since the epoch."""
        ...

    async def note_sent(self, tenant: TenantId, country: str, now: float) -> None:
        """The country is sent to, at the latest since now."""
        ...

    async def receipts(self, tenant: TenantId, country: str, now: float) -> Receipts:
        """What receipts said within the last one to two hours."""
        ...

    async def note_receipt(self, tenant: TenantId, country: str, *, delivered: bool, now: float) -> None:
        """One more receipt."""
        ...


class SmsRecords:
    """The records, as one process knows them."""

    def __init__(self, store: SmsRecordStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._first_sent: dict[TenantId, tuple[float, Mapping[str, float]]] = {}
        self._receipts: dict[tuple[TenantId, str], tuple[float, Receipts]] = {}

    async def first_sent(self, tenant: TenantId, country: str, now: float) -> Mapping[str, float]:
        """When each country was first sent to; ``country`` is among them from here on. Raises StoreUnavailable."""
        read_at, known = self._first_sent.get(tenant, (float("-inf"), {}))
        if country in known and self._monotonic() - read_at < _FRESH_FOR_SECONDS:
            return known
        known = await self._store.first_sent(tenant)
        if country not in known:
            await self._store.note_sent(tenant, country, now)
            known = {**known, country: now}
        _keep(self._first_sent, tenant, (self._monotonic(), known))
        return known

    async def receipts(self, tenant: TenantId, country: str, now: float) -> Receipts:
        """What receipts said lately. Raises StoreUnavailable."""
        read_at, known = self._receipts.get((tenant, country), (float("-inf"), Receipts()))
        if self._monotonic() - read_at < _FRESH_FOR_SECONDS:
            return known
        known = await self._store.receipts(tenant, country, now)
        _keep(self._receipts, (tenant, country), (self._monotonic(), known))
        return known

    async def note_receipt(self, tenant: TenantId, country: str, *, delivered: bool, now: float) -> None:
        """One more receipt. Raises StoreUnavailable."""
        await self._store.note_receipt(tenant, country, delivered=delivered, now=now)


def _keep(kept: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value
