"""Whether new work is taken at all: under overload low is refused first, then normal, high never.

Judged before anything is stored, from what the process knows already, so that saying no is cheap. Three signs of
overload: a lane's deliveries start too late (lane_board.py), this process has too many requests under way, or the store
throttles. Then the tenant's own limit (request_rates.py) and its share of the lane (fair_share.py). What was accepted
before is not judged again: callers look for an earlier answer before they pass a refusal on.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

from shared.domain.concurrency_limit import ConcurrencyLimit
from shared.domain.errors import Overloaded, TooManyRequests
from shared.domain.identifiers import TenantId
from shared.domain.lane_pressure import LagLimits, is_closed, seconds_to_open
from shared.domain.lane_telling import LaneKey
from shared.domain.notification import JsonValue, Lane, Notification
from shared.domain.status import DeliveryStatus
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.fair_share import FairShare, Turns
from shared.pipeline.lane_board import LaneBoard
from shared.pipeline.quotas import Quotas
from shared.pipeline.request_rates import RequestRates

logger = logging.getLogger(__name__)

ACCEPT_SECONDS = 0.4  # that accepting one notification may take; high shares the process and has half a second
ITEMS_PER_PLACE = 100  # of a batch: one commit carries as many (pipeline/submit_batch.py)
LEAST_SHARE = 2  # a slow process still takes half of its limit at once: slow is not yet overloaded
FAR_AHEAD = timedelta(minutes=10)  # what is sent only then does not wait in any lane now
_SHEDDABLE = frozenset({Lane.NORMAL, Lane.LOW})
_TO_SEND = {DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED}
_BUSY_RETRY_SECONDS = 2.0
_STORE_RETRY_SECONDS = 5.0
_LONGEST_RETRY_SECONDS = 120.0
_JITTER = 0.25  # so that those who were refused together don't come back together
_SAY_EVERY_SECONDS = 10.0
_OPEN_AGAIN_AT = 0.5  # of the throttled share that closed a lane


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for.

    Attributes:
        notifications: how many there are, valid or not.
        lanes: the lanes they travel in.
        soon: deliveries of each channel and lane that are to be sent now or in a while.
    """

    notifications: int
    lanes: frozenset[Lane]
    soon: Mapping[LaneKey, int]

    @classmethod
    def by(cls, notification: Notification, now: datetime) -> "Wanted":
        """What one planned notification asks for."""
        soon = Counter(
            (delivery.channel, notification.lane)
            for delivery in notification.deliveries.values()
            if delivery.status in _TO_SEND and (delivery.due_at is None or delivery.due_at <= now + FAR_AHEAD)
        )
        return cls(1, frozenset({notification.lane}), soon)

    @classmethod
    def by_items(cls, items: Sequence[JsonValue], now: datetime) -> "Wanted":
        """What the items of a batch ask for, read without judging them: a batch is refused before it is planned."""
        lanes: set[Lane] = set()
        soon: Counter[LaneKey] = Counter()
        for item in items:
            lane = _lane_of(item)
            if lane is None:
                continue
            lanes.add(lane)
            if not _is_far_ahead(item, now):
                soon.update((channel, lane) for channel in _channels_of(item))
        return cls(len(items), frozenset(lanes), soon)


def _lane_of(item: JsonValue) -> Lane | None:
    """None when it is no notification at all, and will be refused for that."""
    if not isinstance(item, dict):
        return None
    try:
        return Lane(str(item.get("priority", Lane.NORMAL)))
    except ValueError:
        return None


def _channels_of(item: JsonValue) -> list[str]:
    """The channels an item names; the first of a fallback, since the others stand by."""
    asked = item if isinstance(item, dict) else {}
    routing = asked.get("routing")
    order = routing.get("order") if isinstance(routing, dict) else None
    named = order[:1] if isinstance(order, list) else asked.get("channels")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _is_far_ahead(item: JsonValue, now: datetime) -> bool:
    send_at = item.get("sendAt") if isinstance(item, dict) else None
    if not isinstance(send_at, str):
        return False
    try:
        return datetime.fromisoformat(send_at) > now + FAR_AHEAD
    except (ValueError, TypeError, OverflowError):
        return False


class StoreLoad(Protocol):
    """How the store copes, as this process sees it."""

    def throttled_share(self) -> float:
        """The share of the last seconds' calls that the store refused for load, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What closes a lane.

    Attributes:
        lags: how late deliveries may start.
        in_flight: requests under way in this process at most, batches by ITEMS_PER_PLACE. Fewer, down to half, while
            accepting takes longer than ACCEPT_SECONDS.
        throttled: share of calls that the store refuses for load.
    """

    lags: LagLimits = field(default_factory=LagLimits)
    in_flight: Mapping[Lane, int] = field(default_factory=lambda: {Lane.NORMAL: 128, Lane.LOW: 64})
    throttled: Mapping[Lane, float] = field(default_factory=lambda: {Lane.NORMAL: 0.2, Lane.LOW: 0.02})


class Admission:
    """The door of this process."""

    def __init__(
        self,
        board: LaneBoard,
        fair_share: FairShare,
        thresholds: Thresholds | None = None,
        *,
        store: StoreLoad | None = None,
        rates: RequestRates | None = None,
        quotas: Quotas | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._fair_share = fair_share
        self._rates = rates
        self.quotas = quotas
        self._thresholds = thresholds or Thresholds()
        self._store = store
        self._monotonic = monotonic
        self._in_flight = 0
        self._limits = {
            lane: ConcurrencyLimit(most, target_seconds=ACCEPT_SECONDS, least=max(1, most // LEAST_SHARE))
            for lane, most in self._thresholds.in_flight.items()
        }
        self._closed: set[LaneKey] = set()
        self._store_closed: set[Lane] = set()
        self._said_at: dict[tuple[str, Lane], float] = {}

    @contextmanager
    def under_way(self, items: int = 1) -> Iterator[None]:
        """Counts a request while it is being accepted."""
        places, started = ceil(items / ITEMS_PER_PLACE), self._monotonic()
        self._in_flight += places
        try:
            yield
        finally:
            ended = self._monotonic()
            if items == 1:
                for limit in self._limits.values():
                    limit.note(ended - started, self._in_flight, ended)
            self._in_flight -= places

    async def admit(self, tenant: TenantId, wanted: Wanted, policy: TenantPolicy) -> Turns:
        """When the request's deliveries may be sent, if it may be accepted. Raises Overloaded, RateExceeded."""
        await self._board.look()
        for lane in wanted.lanes & _SHEDDABLE:
            self._check_process(lane)
            self._check_store(lane)
        if self._board.is_quiet():
            self._closed.clear()
        else:
            for channel, lane in wanted.soon:
                if lane in _SHEDDABLE:
                    self._check_lateness(channel, lane)
        if self._rates and policy.requests_per_second:
            await self._rates.grant(tenant, wanted.notifications, policy.requests_per_second)
        if not self.quotas or not policy.requests_per_day:
            return await self._fair_share.reserve(tenant, wanted.soon)
        await self.quotas.take(tenant, wanted.notifications, policy.requests_per_day)
        try:
            turns = await self._fair_share.reserve(tenant, wanted.soon)
        except TooManyRequests:
            self.came_to_nothing(tenant, wanted.notifications)
            raise
        return replace(turns, counted=wanted.notifications)

    def came_to_nothing(self, tenant: TenantId, notifications: int) -> None:
        """So many of what was admitted were not accepted after all; they don't count against the day's quota."""
        if self.quotas:
            self.quotas.give_back(tenant, notifications)

    def closed(self, channel: str) -> list[Lane]:
        """The lanes of a channel that take nothing new now, for their lateness."""
        return [lane for lane in Lane if self._is_late(channel, lane)]

    def _check_process(self, lane: Lane) -> None:
        if self._in_flight > self._limits[lane].value:
            self._refuse("process_busy", lane, _BUSY_RETRY_SECONDS)

    def _check_store(self, lane: Lane) -> None:
        if self._store is None:
            return
        limit = self._thresholds.throttled[lane] * (_OPEN_AGAIN_AT if lane in self._store_closed else 1.0)
        if self._store.throttled_share() >= limit:
            self._store_closed.add(lane)
            self._refuse("store_throttled", lane, _STORE_RETRY_SECONDS)
        self._store_closed.discard(lane)

    def _check_lateness(self, channel: str, lane: Lane) -> None:
        if self._is_late(channel, lane):
            seconds = seconds_to_open(lane, self._board.lags_felt_in(channel), self._thresholds.lags)
            self._refuse(f"{channel}_late", lane, seconds)

    def _is_late(self, channel: str, lane: Lane) -> bool:
        key, lags = (channel, lane), self._board.lags_felt_in(channel)
        closed = is_closed(lane, lags, self._thresholds.lags, was_closed=key in self._closed)
        (self._closed.add if closed else self._closed.discard)(key)
        return closed

    def _refuse(self, reason: str, lane: Lane, seconds: float) -> None:
        now = self._monotonic()
        if now - self._said_at.get((reason, lane), float("-inf")) >= _SAY_EVERY_SECONDS:
            self._said_at[reason, lane] = now
            logger.warning("Shedding load", extra={"reason": reason, "lane": lane.value, "in_flight": self._in_flight})
        bounded = min(max(1.0, seconds), _LONGEST_RETRY_SECONDS)
        spread = bounded * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load
        detail = f"{lane.value} priority is not taken now ({reason.replace('_', ' ')})"
        raise Overloaded(detail, retry_after=timedelta(seconds=spread))
