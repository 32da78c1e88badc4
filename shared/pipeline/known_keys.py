"""Whose an API key is. Takes a key as it was presented, gives the caller.

A key is read from its store when it is first seen and every half minute after that, so a revoked one is refused
everywhere within ``FRESH_FOR_SECONDS``, at once in the process that revoked it. While the store can't be read, what was
last known holds up to ``STALE_FOR_SECONDS``; hardly anything works without the store anyway.

Ids that nobody knows are remembered as well, and looked up at most ``UNKNOWN_A_SECOND`` times a second by a process, so
that made-up keys neither cost the store much nor push out those in use.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.api_key import ApiKey, KeyKind, id_in
from shared.domain.errors import NotAuthenticated, RateExceeded, StoreUnavailable
from shared.pipeline.api_key_store import ApiKeyStore
from shared.ports import Caller, Clock

logger = logging.getLogger(__name__)

FRESH_FOR_SECONDS = 30.0
STALE_FOR_SECONDS = 120.0
UNKNOWN_A_SECOND = 20
USE_NOTED_EVERY = timedelta(minutes=1)
_ASKED_AGAIN_AFTER_SECONDS = 5.0
_READ_SECONDS = 2.0
_KEPT = 10_000


@dataclass(slots=True)
class _Known:
    key: ApiKey | None
    fresh_until: float
    read_at: float
    used_at: datetime | None = field(default=None)


class KnownKeys:
    """The keys this process has met."""

    def __init__(self, store: ApiKeyStore, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._unknown: OrderedDict[str, _Known] = OrderedDict()  # apart, so that a flood pushes out only itself
        self._reading: dict[str, asyncio.Task[_Known]] = {}
        self._second, self._looked_up = 0, 0

    async def verify(self, presented: str) -> Caller:
        """The caller whose key it is.

        Raises:
            NotAuthenticated: it is no key, or none that is valid now.
            StoreUnavailable: nobody can be asked.
            RateExceeded: too many made-up keys at the moment to look up one more.
        """
        key_id = id_in(presented)
        if key_id is None:
            raise NotAuthenticated("not an API key")
        known = await self._find(key_id)
        now = self._clock.now()
        key = known.key
        if key is None or not key.admits(presented, now):
            raise NotAuthenticated("the API key is not valid")
        await self._note_use(key, known, now)
        recipients = key.recipients if key.kind is KeyKind.TEAM else None
        return Caller(
            key.tenant_id, f"key:{key.id}", key.roles, is_test=key.kind is KeyKind.TEST, recipients=recipients
        )

    def forget(self, key_id: str) -> None:
        """The key was changed; this process reads it before it trusts it again."""
        self._known.pop(key_id, None)
        self._unknown.pop(key_id, None)

    async def _find(self, key_id: str) -> _Known:
        known = self._known.get(key_id) or self._unknown.get(key_id)
        if known and known.fresh_until > self._monotonic():
            return known
        if key_id not in self._reading:
            if known is None or known.key is None:
                self._allow_one_more()
            reading = asyncio.create_task(self._read(key_id, known))
            self._reading[key_id] = reading
            reading.add_done_callback(lambda _: self._reading.pop(key_id, None))
        return await asyncio.shield(self._reading[key_id])

    def _allow_one_more(self) -> None:
        second = int(self._monotonic())
        if second != self._second:
            self._second, self._looked_up = second, 0
        self._looked_up += 1
        if self._looked_up > UNKNOWN_A_SECOND:
            raise RateExceeded("too many API keys that are not known", retry_after=timedelta(seconds=1))

    async def _read(self, key_id: str, before: _Known | None) -> _Known:
        now = self._monotonic()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                key = await self._store.read(key_id)
        except (StoreUnavailable, TimeoutError) as error:
            if before is None or before.key is None or now - before.read_at > STALE_FOR_SECONDS:
                raise StoreUnavailable("API keys can't be read") from error
            before.fresh_until = now + _ASKED_AGAIN_AFTER_SECONDS
            return before
        known = _Known(key, now + FRESH_FOR_SECONDS, now, before.used_at if before else None)
        self.forget(key_id)
        shelf = self._unknown if key is None else self._known
        shelf[key_id] = known
        if len(shelf) > _KEPT:
            shelf.popitem(last=False)
        return known

    async def _note_use(self, key: ApiKey, known: _Known, now: datetime) -> None:
        """Once a minute in all processes: each tries when a minute has passed, and the store takes the first."""
        since = now - USE_NOTED_EVERY
        if any(used and used > since for used in (known.used_at, key.last_used_at)):
            return
        known.used_at = now
        try:
            async with asyncio.timeout(_READ_SECONDS):
                await self._store.note_use(key.id, now, since)
        except (StoreUnavailable, TimeoutError) as error:
            logger.info("Use of an API key not noted", extra={"key_id": key.id, "cause": type(error).__name__})
