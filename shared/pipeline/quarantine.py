"""Hold back what is quarantined: on the bus, before the claim, so that nothing is spent; and let it go again.

Each process knows the quarantines that hold something, two seconds old at most while it works. A message that one of
them covers goes back to the broker for later; accepting goes on. Whoever is on duty sees how much is held and releases
it.
"""

import asyncio
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.chunk import Chunk, put_off
from shared.domain.errors import StoreUnavailable
from shared.domain.notification import Notification
from shared.domain.quarantine import LONGEST_HOLD, Quarantine
from shared.pipeline.quarantine_store import QuarantineStore

logger = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
_STALE_SECONDS = 5.0  # older than that nobody goes on with what is known while another reads
_READ_SECONDS = 1.0
_COUNT_EVERY_SECONDS = 1.0


class Quarantines:
    """The active quarantines as this process knows them. Without a store there are none."""

    def __init__(self, store: QuarantineStore | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._active: Sequence[Quarantine] = ()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._held: dict[str, Counter[str]] = defaultdict(Counter)
        self._counted_at = float("-inf")

    async def refresh(self) -> None:
        """What is known is two seconds old at most, or as new as the store allows. Never raises."""
        age = self._monotonic() - self._read_at
        if self._store is None or age < FRESH_SECONDS or (age < _STALE_SECONDS and self._reading.locked()):
            return
        async with self._reading:
            if self._monotonic() - self._read_at >= FRESH_SECONDS:
                await self._read(self._store)

    async def _read(self, store: QuarantineStore) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                self._active = await store.active()
        except (StoreUnavailable, TimeoutError) as error:
            # What was known last goes on to hold. Without the store nothing can be claimed either.
            logger.info("Quarantines not readable", extra={"cause": type(error).__name__})
        self._read_at = self._monotonic()

    def forget(self) -> None:
        """The next that asks reads anew: something was opened or released here."""
        self._read_at = float("-inf")

    async def hold(self, chunk: Chunk, now: datetime) -> tuple[Chunk | None, list[Chunk]]:
        """What of a chunk may go on, and what is to be put back on the bus for later.

        What has expired goes on, to be told so.
        """
        await self.refresh()
        found = self._covering(chunk)
        if found is None:
            return chunk, []
        over = tuple(item for item in chunk.items if item.expires_at and item.expires_at <= now)
        kept = tuple(item for item in chunk.items if item not in over)
        if kept and not chunk.is_held:
            self._held[found.id][chunk.template.id if chunk.template else ""] += len(kept)
        await self._count()
        until = now + found.hold(now) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load
        back = put_off(replace(chunk, items=kept, is_held=True), until) if kept else []
        return (replace(chunk, items=over) if over else None), back

    def _covering(self, chunk: Chunk) -> Quarantine | None:
        template = chunk.template.id if chunk.template else None
        for each in self._active:
            if each.covers(chunk.tenant_id, template, chunk.lane, chunk.category):
                return each
        return None

    async def _count(self) -> None:
        """Tells how much is held, once a second at most. Never raises: what is not told now is told later."""
        now = self._monotonic()
        if self._store is None or now - self._counted_at < _COUNT_EVERY_SECONDS:
            return
        self._counted_at = now
        for quarantine_id, held in list(self._held.items()):
            try:
                await self._store.add_held(quarantine_id, held)
            except StoreUnavailable as error:
                logger.info("Held deliveries not counted", extra={"cause": type(error).__name__})
            else:
                self._held[quarantine_id] -= held
        self._held = defaultdict(Counter, {key: held for key, held in self._held.items() if held})

    def held_for(self, notification: Notification) -> timedelta | None:
        """How long the sweeper should leave a notification's deliveries alone; None when nothing holds them."""
        template = notification.template.id if notification.template else None
        for each in self._active:
            if each.covers(notification.tenant_id, template, notification.lane, notification.category):
                return LONGEST_HOLD
        return None
