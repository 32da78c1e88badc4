"""Delivery: a queue and a fleet for each channel and lane, provider limits over all of a channel's lanes, retries."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bench.simulate.assumptions import LANES, MAX_ATTEMPTS, Platform, Providers
from bench.simulate.parcels import Parcel, Parcels
from bench.simulate.scaling import Fleet
from bench.simulate.work import Work, deliveries_a_second, delivery_seconds

_PAUSES = (1, 2, 4, 8, 16)  # shared/domain/retry_schedule.py; stretched by up to a quarter
_MEAN_STRETCH = 1.125


class Lane:
    """One delivery function with its subscription."""

    def __init__(self, channel: str, name: str, work: Work, providers: Providers, platform: Platform) -> None:
        self.channel, self.name, self.work = channel, name, work
        self.unpublished, self.queue = Parcels(), Parcels()
        self.retries = 0.0  # waiting for their pause
        self.seconds = delivery_seconds(providers, platform)
        self.rate = deliveries_a_second(work, providers, platform)  # of one instance
        self.fleet = Fleet(
            always_ready=platform.always_ready if name == "high" else 0,
            maximum=platform.instances_max,
            cold_start=platform.cold_start_seconds,
            interval=platform.event_scale_seconds,
            step=platform.event_scale_step,
            scale_in_after=platform.scale_in_seconds,
        )
        self._calls = platform.concurrent_calls
        self.arrived = 0.0  # a second, smoothed

    @property
    def backlog(self) -> float:
        """Accepted and neither sent nor failed."""
        return self.unpublished.total + self.queue.total + self.retries

    def wanted_instances(self, served_a_second: float) -> float:
        """Target-based scaling: messages there are, those under way included, over calls at once."""
        return (self.queue.total + served_a_second * self.seconds) * self.work.messages / self._calls


class Carried(NamedTuple):
    """What one lane did in a step."""

    tried: float
    sent: list[tuple[float, float]]  # submitted at, amount
    failed: float  # for good


class Delivering:
    """All lanes of all channels."""

    def __init__(self, lanes: Iterable[Lane], providers: Providers) -> None:
        self.lanes = {(lane.channel, lane.name): lane for lane in lanes}
        self._providers = providers
        self._by_channel: dict[str, list[Lane]] = defaultdict(list)
        for name in LANES:
            for lane in self.lanes.values():
                if lane.name == name:
                    self._by_channel[lane.channel].append(lane)
        self._due: dict[int, list[tuple[Lane, Parcel]]] = defaultdict(list)

    @property
    def backlog(self) -> float:
        return sum(lane.backlog for lane in self.lanes.values())

    def plan(self, seconds: float, incoming: Mapping[tuple[str, str], float]) -> dict[Lane, float]:
        """How many each lane would deliver in a step, by its instances and its provider's limit."""
        plan: dict[Lane, float] = {}
        for channel, lanes in self._by_channel.items():
            left = self._providers.calls_per_second[channel] * self._providers.usable_share * seconds
            asked = [
                (
                    lane,
                    min(
                        lane.queue.total + incoming.get((channel, lane.name), 0.0),
                        lane.fleet.ready * lane.rate * seconds,
                    ),
                )
                for lane in lanes
            ]
            if self._providers.limit_sharing == "high-first":
                for lane, wish in asked:
                    plan[lane] = min(wish, left)
                    left -= plan[lane]
                continue
            total = sum(wish for _, wish in asked)
            share = min(1.0, left / total) if total else 0.0
            plan |= {lane: wish * share for lane, wish in asked}
        return plan

    def carry_out(self, lane: Lane, amount: float, now: float, seconds: float) -> Carried:
        """Transient failures come back later."""
        providers, sent, failed, tried = self._providers, [], 0.0, 0.0
        for parcel in lane.queue.take(amount):
            again = parcel.amount * providers.transient_share
            lost = parcel.amount * providers.rejected_share
            if parcel.attempt >= MAX_ATTEMPTS[lane.channel]:
                lost, again = lost + again, 0.0
            tried += parcel.amount
            sent.append((parcel.since, parcel.amount - again - lost))
            failed += lost
            if again:
                self._retry(lane, Parcel(parcel.since, again, parcel.attempt + 1), now, seconds)
        return Carried(tried, sent, failed)

    def _retry(self, lane: Lane, parcel: Parcel, now: float, seconds: float) -> None:
        pause = _PAUSES[min(parcel.attempt - 2, len(_PAUSES) - 1)] * _MEAN_STRETCH
        lane.retries += parcel.amount
        self._due[max(int((now + pause) / seconds), int(now / seconds) + 1)].append((lane, parcel))

    def queue_due(self, now: float, seconds: float) -> float:
        """How many retries went back to their queues."""
        due = self._due.pop(int(now / seconds), ())
        merged: dict[tuple[Lane, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for lane, parcel in due:
            entry = merged[lane, parcel.attempt]
            entry[0] += parcel.amount
            entry[1] += parcel.amount * parcel.since
        for (lane, attempt), (amount, weighted) in merged.items():
            lane.queue.put(Parcel(weighted / amount, amount, attempt))
            lane.retries = max(0.0, lane.retries - amount)
        return sum(amount for amount, _ in merged.values())


def by_lane(lanes: Mapping[tuple[str, str], Lane]) -> dict[str, float]:
    """Backlogs, channels added up."""
    backlog = dict.fromkeys(LANES, 0.0)
    for lane in lanes.values():
        backlog[lane.name] += lane.backlog
    return backlog
