"""Customers' profiles in memory, with the store's own time: the loop's, so that it passes in virtual time as well."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count

from shared.domain.errors import StoreUnavailable, VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.preferences import Change, Kept, Preferences, PreferencesVersion
from shared.domain.suppressed_address import AddressMark


class InMemoryPreferences:
    """``latency`` is the longest time a call takes; half of it passes before the effect and half after."""

    def __init__(self, start: float = 0.0, latency: float = 0.0, seed: int = 0) -> None:
        self.away = False
        self.calls: Counter[str] = Counter()
        self.profiles: dict[tuple[str, str], PreferencesVersion] = {}
        self.suppressions: dict[tuple[str, int], dict[str, tuple[str, datetime]]] = {}
        self.log: list[Change] = []
        self.start = start
        self.latency = latency
        self._random = random.Random(seed)
        self._versions = count(1)

    async def _travel(self, name: str) -> None:
        self.calls[name] += 1
        await self._half_way()
        if self.away:
            raise StoreUnavailable("away")

    async def _half_way(self) -> None:
        if self.latency:
            await asyncio.sleep(self._random.uniform(0, self.latency / 2))

    async def read(self, tenant: TenantId, customer_id: str) -> PreferencesVersion | None:
        await self._travel("read")
        found = self.profiles.get((tenant, customer_id))
        await self._half_way()
        return found

    async def replace(
        self, tenant: TenantId, customer_id: str, preferences: Preferences, version: str
    ) -> PreferencesVersion:
        await self._travel("replace")
        known = self.profiles.get((tenant, customer_id))
        if version != (known.version if known else ""):
            raise VersionChanged("changed")
        if not any(owner == tenant for owner, _ in self.profiles):
            self._say(tenant, "kept")
        stored = self.profiles[tenant, customer_id] = PreferencesVersion(preferences, str(next(self._versions)))
        await self._half_way()
        return stored

    async def suppressed(self, tenant: TenantId, shard: int) -> Mapping[str, str]:
        await self._travel("suppressed")
        found = {digest: reason for digest, (reason, _) in self.suppressions.get((tenant, shard), {}).items()}
        await self._half_way()
        return found

    async def suppress(self, tenant: TenantId, mark: AddressMark, reason: str, at: datetime) -> None:
        await self._travel("suppress")
        if not any(owner == tenant for owner, _ in self.suppressions):
            self._say(tenant, "kept")
        self.suppressions.setdefault((tenant, mark.shard), {})[mark.digest] = (reason, at)
        await self._half_way()

    async def lift(self, tenant: TenantId, mark: AddressMark, reason: str, until: datetime) -> bool:
        await self._travel("lift")
        members = self.suppressions.get((tenant, mark.shard), {})
        known, at = members.get(mark.digest, ("", until))
        lifted = known == reason and at <= until
        if lifted:
            del members[mark.digest]
        await self._half_way()
        return lifted

    async def kept(self, tenant: TenantId) -> Kept:
        await self._travel("kept")
        found = Kept(
            any(owner == tenant for owner, _ in self.profiles), any(owner == tenant for owner, _ in self.suppressions)
        )
        await self._half_way()
        return found

    async def tell(self, tenant: TenantId, subjects: Sequence[str]) -> None:
        await self._travel("tell")
        for subject in subjects:
            self._say(tenant, subject)
        await self._half_way()

    def _say(self, tenant: TenantId, subject: str) -> None:
        self.log.append(Change(str(next(self._versions)), tenant, subject, float(int(self._time()))))

    async def changes(self, since: float) -> Sequence[Change]:
        await self._travel("changes")
        found = [change for change in self.log if change.at >= since]
        await self._half_way()
        return found

    async def now(self) -> float:
        await self._travel("now")
        return float(int(self._time()))

    def _time(self) -> float:
        return self.start + asyncio.get_running_loop().time()
