"""What this process knows about customers, and how it never acts on what is outdated.

Profiles and suppressed addresses are kept in memory, since the service asks for them once a delivery and changes are
rare. Every change is written to a log in the store, which each process reads twice a second before it relies on its
memory. Who changes something is answered only when every process must have read the log since: from the moment an
opt-out is acknowledged, nothing is sent against it (design 9.4), however many processes keep what they read before.

The bound, all by monotonic clocks: memory is relied on for at most ``LEASE_SECONDS`` after a reading of the log began;
a change is acknowledged ``ACKNOWLEDGED_AFTER_SECONDS`` after the log has it. The difference is the time a delivery has
from its last check until its request has left. While the log can't be read, nothing is accepted and nothing is sent.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.preferences import Kept, Preferences
from shared.domain.suppressed_address import AddressMark
from shared.pipeline.preference_store import PreferenceStore

READ_EVERY_SECONDS = 0.5
LEASE_SECONDS = 1.0
ACKNOWLEDGED_AFTER_SECONDS = 1.5
KEPT_SECONDS = 60.0  # S4-30: caches of one to two minutes; the log tells of changes long before
KEPT_ENTRIES = 100_000  # a profile takes about a kilobyte
REMEMBERED_SECONDS = (
    600.0  # how far back the log is known: younger notifications need no second look when they are sent
)
OVERLAP_SECONDS = 5.0  # the store stamps whole seconds, and entries of one second may show one after another
CLOCK_SKEW_SECONDS = 10.0
_JITTER = 0.1
_READINGS_AT_MOST = 3

_Value = TypeVar("_Value")
_Key = tuple[TenantId, str]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[_Value]):
    """``reading`` is how often the log had been read when the value's own reading began."""

    value: _Value
    reading: int
    until: float


class _Memory(Generic[_Value]):
    """Values by subject, each read from the store once however many ask at a time."""

    def __init__(self, log: "_ChangeLog") -> None:
        self._log = log
        self._entries: dict[_Key, _Entry[_Value]] = {}
        self._reading: dict[_Key, asyncio.Task[_Value]] = {}

    def known(self, key: _Key) -> _Value | None:
        """The value if it is remembered and has not changed since, for all that was read of the log."""
        entry = self._valid(key)
        return entry.value if entry else None

    def _valid(self, key: _Key) -> _Entry[_Value] | None:
        entry = self._entries.get(key)
        if entry and asyncio.get_running_loop().time() < entry.until and self._log.changed_in(key) <= entry.reading:
            return entry
        return None

    async def get(self, key: _Key, read: Callable[[], Awaitable[_Value]]) -> _Value:
        entry = self._valid(key)
        if entry:
            return entry.value
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(key, read))
            task.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(task)

    async def _read(self, key: _Key, read: Callable[[], Awaitable[_Value]]) -> _Value:
        while True:
            reading = self._log.readings
            value = await read()
            if self._log.changed_in(key) <= reading:
                break  # else it changed while it was being read, and either version may have come back
        if len(self._entries) >= KEPT_ENTRIES:
            self._entries.pop(next(iter(self._entries)))
        kept_for = KEPT_SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads re-reading
        self._entries[key] = _Entry(value, reading, asyncio.get_running_loop().time() + kept_for)
        return value


class _ChangeLog:
    """The store's log of changes, as far as this process has read it."""

    def __init__(self, store: PreferenceStore) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self.readings = 0
        self._since = 0.0
        self._known_from = float("inf")
        self._seen: dict[str, float] = {}
        self._heard: dict[_Key, int] = {}
        self._stamped: dict[_Key, float] = {}

    def is_current(self) -> bool:
        """Whether the log has been read so lately that it need not be read again."""
        return asyncio.get_running_loop().time() - self._read_at < READ_EVERY_SECONDS

    async def follow(self) -> None:
        """The log has been read lately enough to rely on memory. Raises StoreUnavailable."""
        time, before = asyncio.get_running_loop().time, self._read_at
        if self.is_current():
            return
        async with self._lock:
            if self._read_at != before and time() - self._read_at < LEASE_SECONDS:
                return  # somebody else has read it meanwhile
            for _ in range(_READINGS_AT_MOST):
                await self._read_on()
                if time() - self._read_at < LEASE_SECONDS:
                    return
        raise StoreUnavailable("the log of changes can't be read quickly enough")

    async def _read_on(self) -> None:
        began = asyncio.get_running_loop().time()
        if self._known_from == float("inf"):
            self._since = await self._store.now() - REMEMBERED_SECONDS
        changes = await self._store.changes(self._since)
        self.readings += 1
        for change in changes:
            if change.id not in self._seen:
                key = (change.tenant, change.subject)
                self._seen[change.id] = change.at
                self._heard[key] = self.readings
                self._stamped[key] = change.at
        self._known_from = min(self._known_from, self._since)
        latest = max((change.at for change in changes), default=0.0)
        self._since = max(self._since, latest - OVERLAP_SECONDS)
        self._forget()
        self._read_at = began

    def _forget(self) -> None:
        """Drops what is older than anything kept in memory, and than what ``stands`` is asked about."""
        horizon = self._since - REMEMBERED_SECONDS
        if horizon <= self._known_from:
            return
        self._known_from = horizon
        for old in [key for key, at in self._stamped.items() if at < horizon]:
            del self._stamped[old]
            self._heard.pop(old, None)
        self._seen = {each: at for each, at in self._seen.items() if at >= self._since - OVERLAP_SECONDS}

    def changed_in(self, key: _Key) -> int:
        """The reading in which this process heard of the subject's last change."""
        return self._heard.get(key, 0)

    def unchanged_since(self, key: _Key, instant: float) -> bool:
        """Whether nothing has changed about the subject since ``instant`` (Unix time), for certain."""
        since = instant - CLOCK_SKEW_SECONDS
        return since >= self._known_from and self._stamped.get(key, 0.0) < since


class Consents:
    """Profiles and suppressed addresses, from memory where that is safe."""

    def __init__(self, store: PreferenceStore) -> None:
        self._store = store
        self._log = _ChangeLog(store)
        self._profiles: _Memory[Preferences | None] = _Memory(self._log)
        self._shards: _Memory[dict[str, str]] = _Memory(self._log)
        self._kept: _Memory[Kept] = _Memory(self._log)

    async def keeps(self, tenant: TenantId) -> Kept:
        """What is kept for the tenant. Raises StoreUnavailable."""
        await self._log.follow()
        return await self._kept.get((tenant, _KEPT_SUBJECT), lambda: self._store.kept(tenant))

    def keeps_nothing(self, tenant: TenantId) -> bool:
        """Whether nothing is kept for the tenant, for certain at this moment; asks nobody, so it costs nothing."""
        return self._log.is_current() and self._kept.known((tenant, _KEPT_SUBJECT)) == _NOTHING

    async def profile(self, tenant: TenantId, customer_id: str | None) -> Preferences | None:
        """The customer's profile; None when there is none. Raises StoreUnavailable."""
        if customer_id is None or self.keeps_nothing(tenant) or not (await self.keeps(tenant)).profiles:
            return None
        return await self._profiles.get(
            (tenant, subject_of(customer_id)), lambda: self._read_profile(tenant, customer_id)
        )

    async def _read_profile(self, tenant: TenantId, customer_id: str) -> Preferences | None:
        found = await self._store.read(tenant, customer_id)
        return found.preferences if found else None

    async def suppressed_for(self, tenant: TenantId, mark: AddressMark | None) -> str | None:
        """Why the address must not be sent to; None when it may. Raises StoreUnavailable."""
        if mark is None or not (await self.keeps(tenant)).suppressions:
            return None
        shard = await self._shards.get((tenant, _shard_subject(mark)), lambda: self._read_shard(tenant, mark.shard))
        return shard.get(mark.digest)

    async def _read_shard(self, tenant: TenantId, shard: int) -> dict[str, str]:
        return dict(await self._store.suppressed(tenant, shard))

    async def stands(
        self, tenant: TenantId, customer_id: str | None, marks: Sequence[AddressMark], decided_at: float
    ) -> bool:
        """Whether a decision made at ``decided_at`` (Unix time) still holds for certain: nothing has changed since.

        Raises StoreUnavailable: the log can't be read, so nobody knows.
        """
        await self._log.follow()
        subjects = [_KEPT_SUBJECT]
        subjects += [subject_of(customer_id)] if customer_id else []
        subjects += map(_shard_subject, marks)
        return all(self._log.unchanged_since((tenant, subject), decided_at) for subject in subjects)

    async def changed(self, tenant: TenantId, customer_id: str | None = None, mark: AddressMark | None = None) -> None:
        """Every process acts on the change from now on. Takes ACKNOWLEDGED_AFTER_SECONDS. Raises StoreUnavailable."""
        await self.tell(tenant, customer_id, mark)
        await asyncio.sleep(ACKNOWLEDGED_AFTER_SECONDS)

    async def tell(self, tenant: TenantId, customer_id: str | None = None, mark: AddressMark | None = None) -> None:
        """Every process will know within a second or two; nobody waits until it does. Raises StoreUnavailable."""
        subjects = [subject_of(customer_id)] if customer_id else []
        subjects += [_shard_subject(mark)] if mark else []
        await self._store.tell(tenant, subjects)


_KEPT_SUBJECT = "kept"
_NOTHING = Kept()


def subject_of(customer_id: str) -> str:
    """A customer as the log names one: not by id, which consumers may make of anything."""
    return "c-" + hashlib.blake2b(customer_id.encode(), digest_size=16).hexdigest()


def _shard_subject(mark: AddressMark) -> str:
    return f"s-{mark.shard:02x}"
