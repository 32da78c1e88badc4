"""What this process sees of its lanes while it delivers, told to the others when it is worth telling (lane_board.py).

Takes each chunk when it has a place in the process, and again when it is claimed. How late a lane is follows from the
chunks themselves: how long ago their deliveries were wanted. So no right to look into the broker is needed, and work
that circulates behind a provider's limit counts as late, too.
"""

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import datetime
from statistics import median

from shared.domain.chunk import Chunk
from shared.domain.lane_pressure import TARGET_SECONDS
from shared.domain.lane_telling import LaneKey, Telling
from shared.domain.latencies import Latencies
from shared.domain.notification import Lane
from shared.pipeline.bulkhead import Bulkhead
from shared.pipeline.lane_board import LaneBoard

logger = logging.getLogger(__name__)

LATE_SHARE = 0.2  # of a lane's target: from there on it is late, and its tenants are paced (fair_share.py)
_WORTH_TELLING = 0.5  # of that
_SEEN_SECONDS = 2.0
_SEEN_AT_LEAST = 5  # chunks; one that was delivered again after a crash is no late lane
_TELL_EVERY_SECONDS = 1.0
_GO_ON_TELLING_SECONDS = 5.0  # how a late lane recovers is worth telling as well
REPORT_EVERY_SECONDS = 60.0


def late_from(lane: Lane) -> float:
    """The lag from which a lane is late."""
    return TARGET_SECONDS[lane] * LATE_SHARE


class LaneWatch:
    """The lanes as this process sees them. Tells the board; is asked by nobody for what the board knows better."""

    def __init__(self, board: LaneBoard, bulkhead: Bulkhead, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._board = board
        self._bulkhead = bulkhead
        self._monotonic = monotonic
        self._seen: dict[LaneKey, deque[tuple[float, float]]] = defaultdict(deque)
        self._started: Counter[LaneKey] = Counter()
        self._worth_telling_until: dict[LaneKey, float] = {}
        self._told_at = float("-inf")
        self._latencies: dict[LaneKey, Latencies] = defaultdict(Latencies)
        self._reported_at = monotonic()

    async def see(self, chunk: Chunk, now: datetime) -> None:
        """A chunk has a place and is about to be claimed, or to be held back."""
        key = (chunk.channel, chunk.lane)
        instant = self._monotonic()
        seen = self._seen[key]
        seen.append((instant, _age(chunk.wanted_at, now)))
        while seen[0][0] < instant - _SEEN_SECONDS:
            seen.popleft()
        if instant - self._told_at >= _TELL_EVERY_SECONDS:
            await self._tell(now, instant)

    def note_claimed(self, chunk: Chunk, count: int, now: datetime) -> None:
        """So many deliveries of a chunk are about to be sent."""
        key = (chunk.channel, chunk.lane)
        self._started[key] += count
        if all(item.attempt == 1 for item in chunk.items):
            self._latencies[key].note(_age(chunk.wanted_at, now), count)
        if self._monotonic() - self._reported_at >= REPORT_EVERY_SECONDS:
            self._report()

    def lag(self, key: LaneKey, now: datetime) -> float:
        """Seconds by which the lane is late, as far as this process sees."""
        instant = self._monotonic()
        ages = [age for seen, age in self._seen[key] if seen >= instant - _SEEN_SECONDS]
        lag = median(ages) if len(ages) >= _SEEN_AT_LEAST else 0.0
        waiting_since = self._bulkhead.longest_wait(*key)
        return max(lag, _age(waiting_since, now) if waiting_since else 0.0)

    async def _tell(self, now: datetime, instant: float) -> None:
        self._told_at = instant
        tellings: dict[LaneKey, Telling] = {}
        for key in list(self._seen):
            lag = self.lag(key, now)
            if lag >= late_from(key[1]) * _WORTH_TELLING:
                self._worth_telling_until[key] = instant + _GO_ON_TELLING_SECONDS
            if self._worth_telling_until.get(key, 0.0) > instant:
                tellings[key] = Telling(lag, started=self._started[key])
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
                    "accept_to_claim_p50_seconds": p50,
                    "accept_to_claim_p95_seconds": p95,
                    "accept_to_claim_p99_seconds": p99,
                    "late_share": round(seen.share_above(TARGET_SECONDS[lane]), 4),
                },
            )
        self._latencies.clear()


def _age(wanted_at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - wanted_at).total_seconds()) if wanted_at else 0.0
