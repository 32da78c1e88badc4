"""One run: steps through a day or a spike, and gives its outcome.

A fluid model in fixed steps, not single events: flows are thousands a second, so what matters is where rates exceed
capacities, which a step computes exactly. Queues keep the instant of submission, so waiting is exact to one step. What
the step blurs (waiting below a step, one unlucky message) is listed in docs/cost-model.md.
"""

import itertools
from typing import NamedTuple

from bench.simulate.assumptions import LANES, Scenario
from bench.simulate.broker import Broker
from bench.simulate.calibration import Costs
from bench.simulate.delivering import Delivering, Lane, by_lane
from bench.simulate.demand import DAY_SECONDS, Demand
from bench.simulate.door import Door
from bench.simulate.following import Receipts, stage
from bench.simulate.latencies import Latencies
from bench.simulate.outcome import SECONDS_AN_HOUR, Outcome, Sample
from bench.simulate.sizing import provisioned
from bench.simulate.work import work_of

_WARM_UP = 600.0  # before a spike
_ANSWER_SECONDS = 0.02  # of an accepted request that does not wait
_SETTLED = 60.0  # latencies count from so long before a spike: the fleets have found their size by then
_LONGEST_DRAIN = 12 * 3600.0
_SAMPLES = 240
_CALM = 5.0  # a lane has drained when it holds no more than so many seconds of what it is asked
_QUIET_AFTER = 120.0  # a run goes on so long after the last lane has drained


def simulate(scenario: Scenario, costs: Costs) -> Outcome:
    """A whole day, or a spike at the busiest hour until everything has drained."""
    run = Run(provisioned(scenario, costs), costs)
    run.go()
    return run.outcome


class Plan(NamedTuple):
    """What a step would do with instances, limits and CPU; ``share`` of it fits into the request units."""

    accepting: dict[tuple[str, str], float]
    delivering: dict[Lane, float]
    receipts: float
    tracked: float
    called: float
    wanted: float  # request units
    share: float


class Run:
    """The state of one run."""

    def __init__(self, scenario: Scenario, costs: Costs) -> None:
        self._scenario, self._costs = scenario, costs
        load, platform, providers = scenario.load, scenario.platform, scenario.providers
        self._seconds = scenario.step_seconds
        self._demand = Demand(load, scenario.spike, scenario.seed)
        batch = self._demand.lane_batch_shares()
        works = {lane: work_of(costs, load, platform, batch[lane]) for lane in LANES}
        lanes = [
            Lane(channel, name, works[name], providers, platform)
            for channel, name in itertools.product(load.channel_shares, LANES)
        ]
        self._delivering = Delivering(lanes, providers)
        self._door = Door(self._delivering.lanes, platform, by_lanes=scenario.admission == "lanes")
        self._broker = Broker(platform)
        host = platform.host_ms_per_invocation
        store = platform.store_latency_seconds
        self._receipt_ms = costs.receipt_cpu / platform.speed + host
        self._receipts = Receipts(providers.receipt_delay_seconds, self._seconds)
        self._track = stage(costs.track_cpu / platform.speed + host, costs.status_ru, store, 1.0, platform)
        mean = load.lane_shares
        callback_ms = sum(mean[name] * works[name].callback_cpu for name in LANES)
        messages = sum(mean[name] * works[name].messages for name in LANES)
        latency = providers.callback_latency_seconds + store
        self._callbacks = stage(callback_ms, costs.status_ru, latency, messages, platform)
        self._callback_bytes = sum(mean[name] * works[name].callback_bytes for name in LANES)
        self._fleets = {"http": self._door.fleet} | {
            f"deliver {lane.channel} {lane.name}": lane.fleet
            for lane in sorted(lanes, key=lambda x: LANES.index(x.name))
        }
        self._fleets |= {"track": self._track.fleet, "callbacks": self._callbacks.fleet}
        self._now = self._demand.peak_at - _WARM_UP if scenario.spike else 0.0
        self.outcome = Outcome(scenario.name, from_second=self._now)
        self._window = {lane: Latencies() for lane in LANES}
        self._window_sums = [0.0] * 4  # offered, sent, refused, request units
        self._window_from = self._now
        self._is_warm = False

    def go(self) -> None:
        """Until the day is over, or the spike and what it left."""
        end = self._now + (DAY_SECONDS if self._scenario.spike is None else self._spike_horizon())
        every = max(1, int((min(end, self._now + 6 * SECONDS_AN_HOUR) - self._now) / self._seconds / _SAMPLES))
        if self._scenario.spike is None:
            every = max(1, int(DAY_SECONDS / self._seconds / _SAMPLES))
        for step in itertools.count():
            if self._now >= end or self._has_drained():
                break
            self._step()
            if step % every == every - 1:
                self._sample()
        self._close()

    def _spike_horizon(self) -> float:
        return _WARM_UP + self._scenario.spike.seconds + _LONGEST_DRAIN

    # -- one step ------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        seconds, out = self._seconds, self.outcome
        if self._scenario.spike and not self._is_warm and self._now >= self._demand.spike_from - _SETTLED:
            self._is_warm = True
            out.forget_latencies()
        for fleet in self._fleets.values():
            fleet.advance(self._now, seconds)
        out.retried += self._delivering.queue_due(self._now, seconds)
        self._receipts.arrive(self._now)
        offered = self._demand.arrivals(self._now, seconds)
        for key, amount in offered.items():
            out.offered += amount
            self._delivering.lanes[key].arrived = amount / seconds
        self._door.arrive(offered)
        self._window_sums[0] += sum(offered.values())
        plan = self._plan()
        accepted = self._door.accept(plan.accepting, plan.share, seconds)
        self._track.finish(plan.tracked * plan.share)
        self._callbacks.finish(plan.called * plan.share)
        self._receipts.take(plan.receipts)
        self._track.waiting += plan.receipts
        self._publish(accepted, plan)
        done = self._deliver({lane: amount * plan.share for lane, amount in plan.delivering.items()})
        self._count_refused(self._door.turn_away())
        self._count_units(plan, accepted, done)
        self._count_executions(accepted, done, plan)
        self._scale(accepted, done, plan)
        self._now += seconds

    def _plan(self) -> Plan:
        seconds, costs = self._seconds, self._costs
        http_ms = self._http_ms()
        receipts = min(self._receipts.waiting, http_ms / 2 / self._receipt_ms)  # no more than half: the door stays open
        tracked, called = self._track.plan(seconds), self._callbacks.plan(seconds)
        following = (tracked + called) * costs.status_ru
        lanes, budget = self._delivering.lanes, self._ru_budget()
        promised = sum(lane.queue.total * lane.work.deliver_ru for lane in lanes.values())
        room = max(0.0, budget - following - promised)
        accepting = self._door.plan(http_ms - receipts * self._receipt_ms, room, seconds)
        delivering = self._delivering.plan(seconds, accepting)
        wanted = following + sum(amount * lane.work.deliver_ru for lane, amount in delivering.items())
        wanted += sum(amount * lanes[key].work.accept_ru for key, amount in accepting.items())
        share = min(1.0, budget / wanted) if wanted else 1.0
        return Plan(accepting, delivering, receipts, tracked, called, wanted, share)

    def _http_ms(self) -> float:
        platform = self._scenario.platform
        return self._door.fleet.ready * platform.cores_per_instance * platform.cpu_target * 1000 * self._seconds

    def _ru_budget(self) -> float:
        platform = self._scenario.platform
        return platform.cosmos_ru_max / (1 + platform.ru_skew) * self._seconds

    def _count_units(self, plan: Plan, accepted: dict[tuple[str, str], float], done: dict[Lane, float]) -> None:
        out, seconds = self.outcome, self._seconds
        used = (plan.tracked + plan.called) * plan.share * self._costs.status_ru
        used += sum(amount * self._delivering.lanes[key].work.accept_ru for key, amount in accepted.items())
        used += sum(amount * lane.work.deliver_ru for lane, amount in done.items())
        rate = used / seconds
        out.ru += used
        out.peak_ru, out.wanted_ru = max(out.peak_ru, rate), max(out.wanted_ru, plan.wanted / seconds)
        hour = int(self._now / SECONDS_AN_HOUR)
        out.hourly_ru[hour] = max(out.hourly_ru[hour], rate)
        out.throttled_seconds += seconds if plan.share < 1 else 0.0
        self._window_sums[3] += used

    def _deliver(self, plan: dict[Lane, float]) -> dict[Lane, float]:
        """How many attempts each lane made."""
        out, seconds, providers = self.outcome, self._seconds, self._scenario.providers
        done: dict[Lane, float] = {}
        for lane, amount in plan.items():
            tried, sent, failed = self._delivering.carry_out(lane, amount, self._now, seconds)
            done[lane] = tried
            for since, count in sent:
                waited = self._now - since + lane.seconds
                out.to_provider[lane.name].add(waited, count)
                self._window[lane.name].add(waited, count)
            total = sum(count for _, count in sent)
            out.sent += total
            out.failed += failed
            out.sent_by_channel[lane.channel] += total
            self._window_sums[1] += total
            self._receipts.expect(self._now, total * providers.receipts[lane.channel])
            self._callbacks.waiting += (total + failed) * providers.callbacks_per_notification
        return done

    def _publish(self, accepted: dict[tuple[str, str], float], plan: Plan) -> None:
        """Announcements, receipts and callbacks first; what is accepted and finds no room waits in the store."""
        out, costs, called = self.outcome, self._costs, plan.called * plan.share
        out.receipts += plan.receipts
        broker = self._broker
        broker.begin(self._seconds)
        broker.carry(plan.receipts, costs.status_bytes["single"], 1.0)
        broker.carry(called, self._callback_bytes, self._callbacks.messages)
        for lane, amount in plan.delivering.items():
            broker.carry(amount * plan.share, lane.work.status_bytes, lane.work.messages)
        waits = {name: self._door.wait_seconds(name) for name in LANES}
        fresh = [(self._delivering.lanes[key], amount) for key, amount in accepted.items()]
        broker.publish(fresh, self._now, waits)
        broker.sweep(self._delivering.lanes.values(), self._now)
        for lane, amount in fresh:
            out.accept[lane.name].add(waits[lane.name] + _ANSWER_SECONDS, amount)
            out.accepted += amount
        out.bus_bytes += broker.used
        out.bus_messages += broker.messages
        out.peak_bus_share = max(out.peak_bus_share, broker.share)

    def _scale(self, accepted: dict[tuple[str, str], float], done: dict[Lane, float], plan: Plan) -> None:
        seconds, platform, now = self._seconds, self._scenario.platform, self._now
        busy_ms = plan.receipts * self._receipt_ms
        busy_ms += sum(amount * self._delivering.lanes[key].work.accept_cpu for key, amount in accepted.items())
        wanted = {id(self._door.fleet): self._door.wanted_instances(busy_ms, seconds)}
        wanted |= {id(lane.fleet): lane.wanted_instances(amount / seconds) for lane, amount in done.items()}
        wanted[id(self._track.fleet)] = self._track.wanted_instances(plan.tracked * plan.share / seconds)
        wanted[id(self._callbacks.fleet)] = self._callbacks.wanted_instances(plan.called * plan.share / seconds)
        total = sum(fleet.total for fleet in self._fleets.values())
        for fleet in self._fleets.values():
            before = fleet.total
            fleet.decide(now, wanted[id(fleet)], platform.regional_instances - total, seconds)
            total += fleet.total - before
        self.outcome.peak_instances = max(self.outcome.peak_instances, total)

    # -- books ---------------------------------------------------------------------------------------------------

    def _count_refused(self, refused: dict[str, float]) -> None:
        for lane, amount in refused.items():
            self.outcome.refused[lane] += amount
            self._window_sums[2] += amount

    def _count_executions(self, accepted: dict[tuple[str, str], float], done: dict[Lane, float], plan: Plan) -> None:
        called = plan.called * plan.share
        lanes = self._delivering.lanes
        self.outcome.executions += (
            sum(amount * lanes[key].work.requests for key, amount in accepted.items())
            + sum(amount * lane.work.messages for lane, amount in done.items())
            + plan.receipts
            + plan.tracked * plan.share
            + called * self._callbacks.messages
        )
        self.outcome.callbacks += called
        self.outcome.ready_seconds += self._seconds * sum(fleet.always_ready for fleet in self._fleets.values())

    def _sample(self) -> None:
        out, span = self.outcome, self._now - self._window_from
        offered, sent, refused, units = (value / span for value in self._window_sums)
        backlog = by_lane(self._delivering.lanes)
        out.samples.append(
            Sample(
                at=self._now,
                offered=offered,
                sent=sent,
                refused=refused,
                request_units=units,
                bus_share=self._broker.share,
                instances=sum(fleet.total for fleet in self._fleets.values()),
                backlog=backlog,
                p95={name: latencies.percentile(0.95) for name, latencies in self._window.items()},
            )
        )
        self._window = {lane: Latencies() for lane in LANES}
        self._window_sums, self._window_from = [0.0] * 4, self._now

    def _has_drained(self) -> bool:
        """Also notes when each lane did, and the highest backlogs."""
        out, spike, lanes = self.outcome, self._scenario.spike, self._delivering.lanes
        total = self._delivering.backlog
        out.peak_backlog = max(out.peak_backlog, total)
        out.peak_unpublished = max(out.peak_unpublished, sum(lane.unpublished.total for lane in lanes.values()))
        held = sum(lane.queue.total * lane.work.submitted_bytes for lane in lanes.values()) / 1e9
        out.peak_bus_gigabytes = max(out.peak_bus_gigabytes, held)
        if spike is None:
            return False
        over = self._now - (self._demand.spike_from + spike.seconds)
        if over < 0:
            return False
        for (channel, name), lane in lanes.items():
            key = f"{channel} {name}"
            is_calm = lane.backlog - lane.retries <= max(50.0, lane.arrived * _CALM)
            if is_calm and key not in out.drained:
                out.drained[key] = over
        return len(out.drained) == len(lanes) and over >= max(out.drained.values()) + _QUIET_AFTER

    def _close(self) -> None:
        out, lanes = self.outcome, self._delivering.lanes
        out.backlog, out.waiting = self._delivering.backlog, self._door.total
        out.seconds = self._now - out.from_second
        out.instances = {name: fleet.highest for name, fleet in self._fleets.items()}
        out.instance_seconds = sum(fleet.seconds for fleet in self._fleets.values())
        if self._scenario.spike:
            out.drained |= {f"{c} {n}": None for c, n in lanes if f"{c} {n}" not in out.drained}
