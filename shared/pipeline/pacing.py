"""A chunk's place in its provider's timetable: reserved before the claim, taken one by one before each call."""

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import Throttled
from shared.pipeline.announce import publish_chunks
from shared.pipeline.provider_limits import HORIZON_SECONDS, ProviderLimits
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away

_TURNS_MISSED_AT_MOST = 3


class Pace:
    """The turns of one chunk at its provider; every turn is free when the provider has no limit."""

    def __init__(self, limits: ProviderLimits | None, account: str, slots: Sequence[float] = ()) -> None:
        self._limits = limits
        self._account = account
        self._slots = deque(slots)

    async def turn(self) -> None:
        """Waits until one call to the provider may start.

        Raises:
            Throttled: the reserved time was missed (a busy process) and there is no other soon; no attempt is spent.
        """
        if self._limits is None:
            return
        for _ in range(_TURNS_MISSED_AT_MOST):
            if not self._slots:
                self._slots.extend((await self._limits.reserve(self._account, 1)).slots)
            if self._slots and await self._limits.wait_for(self._slots.popleft()):
                return
        raise Throttled("own_limit", retry_after=timedelta(seconds=HORIZON_SECONDS))


async def reserve_turns(
    chunk: Chunk, wanted: Sequence[ChunkItem], account: str, services: Services, *, attempts_in_a_call: int = 1
) -> tuple[Sequence[ChunkItem], Pace]:
    """The items that have a turn soon, and their turns. The others are on the bus again, for later, unclaimed.

    A turn is one provider call, which is expected to carry ``attempts_in_a_call``; calls beyond those that this makes
    find their turns when they come.

    Raises:
        StoreUnavailable, PublishFailed: the message should come back.
    """
    limits = services.limits
    if limits is None or not limits.is_limited(account):
        return wanted, Pace(None, account)
    calls = math.ceil(len(wanted) / attempts_in_a_call)
    reservation = await while_store_is_away(lambda: limits.reserve(account, calls), services.patience.store)
    count = len(reservation.slots) * attempts_in_a_call
    if count < len(wanted):
        # Spread over the horizon, so that what could not go now does not come back all at once.
        later = timedelta(seconds=HORIZON_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
        deferred = replace(chunk, items=tuple(wanted[count:]), due_at=services.clock.now() + later)
        await publish_chunks([deferred], services)
    return wanted[:count], Pace(limits, account, reservation.slots)
