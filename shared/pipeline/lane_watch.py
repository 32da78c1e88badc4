"""What this process sees of its lanes while it delivers, told to the others when it is worth telling (lane_board.py).

Takes each chunk when it is claimed or put back. How late a lane is follows from the chunks themselves: how long ago
their deliveries were wanted. So no right to look into the broker is needed, and work that queues before a provider's
limit counts as late, too.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime

from shared.domain.chunk import Chunk
from shared.domain.lane_ages import LaneAges
from shared.domain.lane_pressure import TARGET_SECONDS
from shared.domain.lane_telling import LaneKey, Telling
from shared.domain.latencies import Latencies
from shared.domain.notification import Lane
from shared.pipeline.bulkhead import Bulkhead
from shared.pipeline.lane_board import LaneBoard

logger = logging.getLogger(__name__)

LATE_SHARE = 0.2  # of a lane's target: from there on it is late, and its tenants are paced (fair_share.py)
_WORTH_TELLING = 0.5  # of that
_TELL_EVERY_SECONDS = 1.0
_GO_ON_TELLING_SECONDS = 15.0  # how a late lane recovers, and what it manages, is worth telling as well
REPORT_EVERY_SECONDS = 60.0
TENANT_LIMIT = "tenant:"  # begins the names of tenants' own limits (pacing.py)


def late_from(lane: Lane) -> float:
    """The lag from which a lane is late."""
    return TARGET_SECONDS[lane] * LATE_SHARE


class LaneWatch:
    """The lanes as this process sees them. Tells the board; is asked by nobody for what the board knows better."""

    def __init__(self, board: LaneBoard, bulkhead: Bulkhead, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._bulkhead = bulkhead
        self._monotonic = monotonic
        self._ages: dict[LaneKey, LaneAges] = defaultdict(LaneAges)
        self._started: Counter[LaneKey] = Counter()
        self._worth_telling_until: dict[LaneKey, float] = {}
        self._told_at = float("-inf")
        self._latencies: dict[LaneKey, Latencies] = defaultdict(Latencies)
        self._reported_at = monotonic()

    async def tell(self, now: datetime) -> None:
        """What is worth telling is told, once a second at most. Never raises."""
        instant = self._monotonic()
        if instant - self._told_at >= _TELL_EVERY_SECONDS:
            await self._tell(now, instant)

    def note_age(self, chunk: Chunk, at: datetime) -> None:
        """A chunk is sent or put back, or is known to be sent ``at`` a later time: so late is the lane.

        What its own tenant's limit held back tells nothing of the lane.
        """
        if any(account.startswith(TENANT_LIMIT) for account in chunk.waited_for):
            return
        self._ages[chunk.channel, chunk.lane].note(self._monotonic(), _age(chunk.wanted_at, at), chunk.tenant_id)

    def note_claimed(self, chunk: Chunk, count: int, now: datetime) -> None:
        """So many deliveries of a chunk are about to be sent."""
        self.note_age(chunk, now)
        key = (chunk.channel, chunk.lane)
        self._started[key] += count
        if all(item.attempt == 1 for item in chunk.items):
            self._latencies[key].note(_age(chunk.wanted_at, now), count)
        if self._monotonic() - self._reported_at >= REPORT_EVERY_SECONDS:
            self._report()

    def lag(self, key: LaneKey, now: datetime) -> float:
        """Seconds by which the lane is late, as far as this process sees."""
        waiting_since = self._bulkhead.longest_wait(*key)
        return max(self._ages[key].lag(self._monotonic()), _age(waiting_since, now) if waiting_since else 0.0)

    async def _tell(self, now: datetime, instant: float) -> None:
        self._told_at = instant
        tellings: dict[LaneKey, Telling] = {}
        for key in {*self._ages, *self._bulkhead.lanes()}:
            lag = self.lag(key, now)
            if lag >= late_from(key[1]) * _WORTH_TELLING:
                self._worth_telling_until[key] = instant + _GO_ON_TELLING_SECONDS
            if self._worth_telling_until.get(key, 0.0) > instant:
                others = self._ages[key].lag_of_others(instant)
                tellings[key] = Telling(lag, lag if others is None else others, started=self._started[key])
            else:
                self._started[key] = 0  # nobody counts while nobody is late
        if await self._board.tell(tellings):
            for key, telling in tellings.items():
                self._started[key] -= telling.started

    def _report(self) -> None:
        """One line for each lane and minute, from which charts and alerts are made."""
        self._reported_at = self._monotonic()
        for (channel, lane), seen in self._latencies.items():
            p50, p95, p99 = seen.percentiles([0.5, 0.95, 0.99])
            logger.info(
                "Lane latency",
                extra={
                    "channel": channel,
                    "lane": lane.value,
                    "deliveries": seen.count,
                    "waited_p50_seconds": p50,
                    "waited_p95_seconds": p95,
                    "waited_p99_seconds": p99,
                    "late_share": round(seen.share_above(TARGET_SECONDS[lane]), 4),
                },
            )
        self._latencies.clear()


def _age(wanted_at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - wanted_at).total_seconds()) if wanted_at else 0.0
