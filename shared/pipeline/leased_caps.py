"""Caps on what is spent or sent in a window of time, exact over all processes and cheap to ask.

The count is in the store. A process that asks often takes a block from it in one go and spends that without asking, so
a cap is never exceeded; it is used up a little early by what processes hold, or held when they died. A block is at most
a five-hundredth of the cap, and ends with the bucket of time it was counted in.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.errors import StoreUnavailable
from shared.domain.window import Count

logger = logging.getLogger(__name__)

_BLOCK_SHARE = 500
_ASK_AGAIN_AFTER_SECONDS = 2.0  # after the store said that nothing is left
_MOST_CAPS = 10_000


class CountStore(Protocol):
    """Counts in windows of time. Every method may raise StoreUnavailable."""

    async def now(self) -> float:
        """The store's time, in seconds since the epoch."""
        ...

    async def take(self, count: Count, amount: int, cap: int) -> int | None:
        """Counts ``amount`` and gives the bucket it is in; None when the window would hold more than ``cap``."""
        ...

    def seen(self, count: Count) -> int | None:
        """The total of the window when this process last counted in it; None when it has not."""
        ...

    async def give_back(self, count: Count, amount: int, bucket: int) -> None:
        """``amount`` of what was counted in ``bucket`` did not happen."""
        ...


@dataclass(slots=True)
class _Held:
    """What this process took and has not used."""

    left: int = 0
    bucket: int = -1
    block: int = 0
    refused_until: float = float("-inf")
    refused_amount: int = 0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class LeasedCaps:
    """Spends within caps."""

    def __init__(self, counts: CountStore) -> None:
        self._counts = counts
        self._held: dict[Count, _Held] = {}

    async def take(self, count: Count, amount: int, cap: int) -> int | None:
        """Counts ``amount`` and gives the bucket it is counted in; None when the window would hold more than ``cap``.

        Raises StoreUnavailable; it may then be counted all the same.
        """
        held = self._of(count)
        async with held.asking:
            now = await self._counts.now()
            if held.bucket != count.window.bucket_at(now):
                await self._return(count, held)
            while held.left < amount:
                if not await self._more(count, held, amount, cap, now):
                    return None
            held.left -= amount
            return held.bucket

    def give_back(self, count: Count, amount: int, bucket: int) -> None:
        """``amount`` that was taken in ``bucket`` was not used after all; somebody else in this process may use it."""
        held = self._of(count)
        if held.bucket == bucket:
            held.left += amount  # otherwise the bucket is over, and it counts as used

    def left(self, count: Count, cap: int) -> int | None:
        """How much of the cap is left as far as this process knows; what others took and have not used is used."""
        seen, held = self._counts.seen(count), self._held.get(count)
        return None if seen is None else max(0, cap - seen + (held.left if held else 0))

    def _of(self, count: Count) -> _Held:
        if count not in self._held and len(self._held) >= _MOST_CAPS:
            self._held.clear()  # what they held counts as used
        return self._held.setdefault(count, _Held())

    async def _more(self, count: Count, held: _Held, amount: int, cap: int, now: float) -> bool:
        """Whether something was taken from the store, of which there may be enough now."""
        missing = amount - held.left
        if now < held.refused_until and missing >= held.refused_amount:
            return False
        held.block = min(2 * held.block or amount, cap // _BLOCK_SHARE)
        for wanted in dict.fromkeys((max(missing, held.block), missing)):
            bucket = await self._counts.take(count, wanted, cap)
            if bucket is not None:
                # What is left of a bucket that ended in this moment counts as used.
                held.left = held.left + wanted if bucket == held.bucket else wanted
                held.bucket = bucket
                return True
        held.block = 0
        held.refused_until, held.refused_amount = now + _ASK_AGAIN_AFTER_SECONDS, missing
        return False

    async def _return(self, count: Count, held: _Held) -> None:
        left, bucket = held.left, held.bucket
        held.left = held.block = 0
        held.bucket = -1
        if left:
            try:
                await self._counts.give_back(count, left, bucket)
            except StoreUnavailable:
                logger.info("Unused share of a cap counts as used", extra={"cap": count.name})
