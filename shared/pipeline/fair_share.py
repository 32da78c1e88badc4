"""A tenant that floods a lane goes in turns of its own, so that the others' deliveries pass.

A subscription is first in, first out: a hundred thousand messages of one tenant stand in front of whoever comes next.
While a lane is late, tenants that ask for more than their fair share of what the lane manages get *turns*: their
messages are held back by the broker until then, spaced by that share. A tenant whose turns are used up for longer than
the horizon is refused with 429, it alone. Messages of such a tenant that stand in the lane already are put back for a
turn as well, before anything is claimed. Nobody else is touched, and in a lane that is not late nobody is.

The turns are the same for all processes (tenant_turns.py). Tenants that flood nothing cost nothing.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.chunk import MAX_CHUNK_DELIVERIES, Chunk
from shared.domain.errors import StoreUnavailable
from shared.domain.fair_share import Tally, dominant, fair_rate
from shared.domain.identifiers import TenantId
from shared.domain.lane_telling import LaneKey, Telling
from shared.domain.notification import Lane, Notification
from shared.domain.status import DeliveryStatus
from shared.pipeline.call_limits import LeaseStore
from shared.pipeline.lane_board import LaneBoard
from shared.pipeline.lane_watch import late_from
from shared.pipeline.tenant_turns import TenantTurns

# How far ahead a tenant's turns may lie before it is refused. High is never refused: its overflow waits.
HORIZON = {Lane.HIGH: timedelta(days=1), Lane.NORMAL: timedelta(seconds=30), Lane.LOW: timedelta(seconds=150)}
_PUT_BACK_FROM = 2.0  # times the lag from which a lane is late
_USED_WHILE_LATE, _USED = 0.8, 0.95  # of what the lane manages: it has to catch up, or only to keep up
_CONTESTED_SECONDS = 10.0  # a lane stays contested so long after it was late, or more was asked for than it manages
_GROWTH_PER_SECOND = 0.02  # of what a lane is believed to manage, while it is not late: it may be more than that
_LEARN = 0.3  # of a new measurement
_NEARLY_NOW_SECONDS = 0.5
_TELL_EVERY_SECONDS = 1.0


@dataclass
class Turns:
    """When a request's deliveries may be sent, by channel and lane; what has no entry, at once.

    ``counted``: how many notifications the tenant's quota was charged.
    """

    due: Mapping[LaneKey, list[datetime]] = field(default_factory=dict)
    _used: dict[LaneKey, int] = field(default_factory=lambda: defaultdict(int))
    counted: int = 0

    def apply(self, notification: Notification, publish_patience: timedelta) -> Notification:
        """The notification, its deliveries due in their turns."""
        if not self.due:
            return notification
        deliveries = dict(notification.deliveries)
        for name, delivery in notification.deliveries.items():
            due_at = self._next((name, notification.lane)) if delivery.status is DeliveryStatus.QUEUED else None
            if due_at and due_at > notification.created_at:
                deliveries[name] = replace(delivery, due_at=due_at, wake_at=due_at + publish_patience)
        return replace(notification, deliveries=deliveries)

    def _next(self, key: LaneKey) -> datetime | None:
        if key not in self.due:
            return None
        index = self._used[key] // MAX_CHUNK_DELIVERIES  # as many as travel in one message have one turn
        self._used[key] += 1
        return self.due[key][min(index, len(self.due[key]) - 1)]


@dataclass
class _Lane:
    """What this process makes of one lane."""

    asked: Tally = field(default_factory=Tally)
    seen: Tally = field(default_factory=Tally)
    untold: int = 0
    told_at: float = float("-inf")
    manages: float | None = None  # deliveries a second, of all processes together
    looked_at: float = float("-inf")
    contested_until: float = float("-inf")


class FairShare:
    """Turns for tenants that flood a lane."""

    def __init__(
        self, board: LaneBoard, leases: LeaseStore | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._board = board
        self._turns = TenantTurns(leases) if leases else None
        self._monotonic = monotonic
        self._lanes: dict[LaneKey, _Lane] = defaultdict(_Lane)

    async def reserve(self, tenant: TenantId, wanted: Mapping[LaneKey, int]) -> Turns:
        """The turns of a request's deliveries. Raises RateExceeded: the tenant's are used up for longer."""
        due: dict[LaneKey, list[datetime]] = {}
        now = self._monotonic()
        for key, count in wanted.items():
            lane = self._lanes[key]
            lane.asked.note(tenant, count, now)
            if self._turns and self._is_contested(key, lane, now):
                await self._tell(key, lane, count, now)
                share = self._share_of_asked(key, lane, tenant, now)
                if share < math.inf:
                    due[key] = await self._lease(key, tenant, count, share, HORIZON[key[1]])
        return Turns({key: turns for key, turns in due.items() if turns})

    async def turn_of(self, chunk: Chunk, lag: float, *, is_busy: bool) -> datetime | None:
        """When a chunk that stands in a late lane should come back; None when it should be sent now.

        ``lag`` is how late the lane is, as this process sees it. ``is_busy`` says that the process has as much to do in
        this lane as it can: only then is anything put back, so that nobody waits while there is room.
        """
        key, now = (chunk.channel, chunk.lane), self._monotonic()
        lane = self._lanes[key]
        lane.seen.note(chunk.tenant_id, len(chunk.items), now)
        if not self._turns or lag < _PUT_BACK_FROM * late_from(chunk.lane) or not is_busy:
            return None
        share = self._share_of_seen(key, lane, chunk.tenant_id, now)
        if share == math.inf:
            return None
        for turn in await self._lease(key, chunk.tenant_id, len(chunk.items), share, HORIZON[Lane.HIGH]):
            return None if await self._turns.is_now(turn, _NEARLY_NOW_SECONDS) else turn
        return None

    def may_pass(self, chunk: Chunk, lag: float) -> bool:
        """Whether a chunk may go past those who wait for a provider's limit: its tenant is not why the lane is late."""
        if lag < late_from(chunk.lane):
            return False
        return chunk.tenant_id not in dominant(self._lanes[chunk.channel, chunk.lane].seen.rates(self._monotonic()))

    async def _lease(
        self, key: LaneKey, tenant: TenantId, count: int, per_second: float, horizon: timedelta
    ) -> list[datetime]:
        """The turns; none while the store is away, since then nothing is accepted or claimed anyhow."""
        if self._turns is None:
            return []
        try:
            return await self._turns.lease(key, tenant, count, per_second, horizon)
        except StoreUnavailable:
            return []

    def _is_contested(self, key: LaneKey, lane: _Lane, now: float) -> bool:
        """Whether the lane is late, or was and more is still asked for than it manages."""
        lag = self._board.lag(key)
        is_late = lag >= late_from(key[1])
        if is_late or (lane.manages and self._board.asked_per_second(key) > lane.manages):
            lane.contested_until = now + _CONTESTED_SECONDS
        if now >= lane.contested_until:
            lane.manages = None
            return False
        if now - lane.looked_at >= _TELL_EVERY_SECONDS:
            self._learn(key, lane, lag, now)
        return True

    def _learn(self, key: LaneKey, lane: _Lane, lag: float, now: float) -> None:
        """What a late lane starts in a second is all that it manages; while it is early, it may manage more."""
        elapsed, lane.looked_at = min(now - lane.looked_at, _CONTESTED_SECONDS), now
        started = self._board.started_per_second(key)
        if lag >= late_from(key[1]) and started:
            known = lane.manages or started
            lane.manages = known + _LEARN * (started - known)
        elif lag < late_from(key[1]) / 2 and lane.manages:
            lane.manages *= 1 + _GROWTH_PER_SECOND * elapsed

    def _budget(self, key: LaneKey, manages: float) -> float:
        return manages * (_USED_WHILE_LATE if self._board.lag(key) >= late_from(key[1]) else _USED)

    def _share_of_asked(self, key: LaneKey, lane: _Lane, tenant: TenantId, now: float) -> float:
        """What the tenant may send in a second; infinite when it asks for less than its fair share.

        This process sees a part of the requests. That part is taken to be like the whole.
        """
        asked, here = self._board.asked_per_second(key), lane.asked.rates(now)
        if not lane.manages or not asked:
            return math.inf
        scale = asked / sum(here.values())
        share = fair_rate({who: rate * scale for who, rate in here.items()}, self._budget(key, lane.manages))
        return share if here[tenant] * scale > share else math.inf

    def _share_of_seen(self, key: LaneKey, lane: _Lane, tenant: TenantId, now: float) -> float:
        """The same for who delivers, and sees what stands in front: mostly those who fill the lane."""
        started, heavy = self._board.started_per_second(key), dominant(lane.seen.rates(now))
        if not started or tenant not in heavy:
            return math.inf
        # What others need is not taken off: too many turns make the lane late again, and then the rest is put back once
        # more; too few would leave it idle, and nobody could call back what waits for them.
        return started * _USED / len(heavy)

    async def _tell(self, key: LaneKey, lane: _Lane, count: int, now: float) -> None:
        lane.untold += count
        if now - lane.told_at >= _TELL_EVERY_SECONDS:
            lane.told_at, telling = now, Telling(asked=lane.untold)
            lane.untold = 0
            if not await self._board.tell({key: telling}):
                lane.untold += telling.asked
