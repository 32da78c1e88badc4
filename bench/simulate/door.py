"""Accept: HTTP instances, what waits at them, what they refuse."""

from collections.abc import Mapping

from bench.simulate.assumptions import LANES, Platform
from bench.simulate.delivering import Lane
from bench.simulate.scaling import Fleet
from bench.simulate.work import accept_seconds

_ROOM = {"high": 1.0, "normal": 0.9, "low": 0.8}  # of capacity that a lane may fill, under admission by lanes


class Door:
    """The HTTP functions: submissions and receipts share instances."""

    def __init__(self, lanes: Mapping[tuple[str, str], Lane], platform: Platform, *, by_lanes: bool) -> None:
        self._lanes, self._platform, self._by_lanes = lanes, platform, by_lanes
        self.waiting = dict.fromkeys(lanes, 0.0)
        self._unwanted: dict[tuple[str, str], float] = {}
        self._rates = dict.fromkeys(LANES, 0.0)  # notifications accepted a second, in the last step
        self.fleet = Fleet(
            always_ready=platform.always_ready,
            maximum=platform.instances_max,
            cold_start=platform.cold_start_seconds,
            interval=platform.http_scale_seconds,
            step=1,
            scale_in_after=platform.scale_in_seconds,
        )

    @property
    def total(self) -> float:
        return sum(self.waiting.values())

    def wait_seconds(self, lane: str) -> float:
        """For those who would be answered now: all stand in one line, but for lanes that are admitted apart."""
        names = [lane] if self._by_lanes else list(LANES)
        waiting = sum(amount for key, amount in self.waiting.items() if key[1] in names)
        rate = sum(self._rates[name] for name in names)
        return waiting / rate if rate else 0.0

    def arrive(self, offered: Mapping[tuple[str, str], float]) -> None:
        for key, amount in offered.items():
            self.waiting[key] += amount

    def plan(self, cpu_ms: float, request_units: float, seconds: float) -> dict[tuple[str, str], float]:
        """What each lane may have accepted in the step, with this much CPU and (for admission) these request units."""
        slots = self.fleet.ready * self._platform.http_concurrency * seconds
        if not self._by_lanes:
            share = self._share(self.waiting, cpu_ms, slots)
            return {key: amount * share for key, amount in self.waiting.items()}
        plan, used = {}, 0.0
        for name in LANES:
            mine = {key: amount for key, amount in self.waiting.items() if key[1] == name}
            wanted = sum(amount * self._lanes[key].work.total_ru for key, amount in mine.items())
            admitted = min(1.0, max(0.0, request_units * _ROOM[name] - used) / wanted) if wanted else 1.0
            if name != "high":
                self._unwanted |= {key: amount * (1 - admitted) for key, amount in mine.items()}
            share = min(admitted, self._share(mine, cpu_ms, slots))
            plan |= {key: amount * share for key, amount in mine.items()}
            cpu_ms -= share * self._cpu_ms(mine)
            slots -= share * self._slots(mine)
            used += share * wanted
        return plan

    def _share(self, amounts: Mapping[tuple[str, str], float], cpu_ms: float, slots: float) -> float:
        """Of these, what CPU and concurrency allow."""
        pairs = ((cpu_ms, self._cpu_ms(amounts)), (slots, self._slots(amounts)))
        return max(0.0, min(1.0, *(have / need for have, need in pairs if need > 0), 1.0))

    def _cpu_ms(self, amounts: Mapping[tuple[str, str], float]) -> float:
        return sum(amount * self._lanes[key].work.accept_cpu for key, amount in amounts.items())

    def _slots(self, amounts: Mapping[tuple[str, str], float]) -> float:
        """Seconds of one request's place."""
        total = 0.0
        for key, amount in amounts.items():
            work = self._lanes[key].work
            total += amount * work.requests * accept_seconds(self._platform, work.accept_cpu / max(work.requests, 1e-9))
        return total

    def accept(
        self, plan: Mapping[tuple[str, str], float], share: float, seconds: float
    ) -> dict[tuple[str, str], float]:
        """The accepted; all others of the plan stay and wait."""
        accepted = {key: amount * share for key, amount in plan.items()}
        for key, amount in accepted.items():
            self.waiting[key] = max(0.0, self.waiting[key] - amount)
        self._rates = dict.fromkeys(LANES, 0.0)
        for key, amount in accepted.items():
            self._rates[key[1]] += amount / seconds
        return accepted

    def turn_away(self) -> dict[str, float]:
        """Refusals by lane, after a step: whom admission does not want, and what is more than the instances hold.

        The latter is the host's own 429. It meets all lanes alike, or the lowest first under admission by lanes.
        """
        refused = dict.fromkeys(LANES, 0.0)
        for key, amount in self._unwanted.items():
            self._refuse(key, min(amount, self.waiting[key]), refused)
        self._unwanted = {}
        over = self._outstanding() - max(1, self.fleet.ready) * self._platform.outstanding_requests
        groups = [[name] for name in reversed(LANES)] if self._by_lanes else [list(LANES)]
        for names in groups:
            mine = {key: amount for key, amount in self.waiting.items() if key[1] in names}
            requests = sum(amount * self._lanes[key].work.requests for key, amount in mine.items())
            if over <= 0 or not requests:
                continue
            share = min(1.0, over / requests)
            for key, amount in mine.items():
                self._refuse(key, amount * share, refused)
            over -= requests * share
        return refused

    def _outstanding(self) -> float:
        return sum(amount * self._lanes[key].work.requests for key, amount in self.waiting.items())

    def _refuse(self, key: tuple[str, str], amount: float, refused: dict[str, float]) -> None:
        self.waiting[key] -= amount
        refused[key[1]] += amount

    def wanted_instances(self, busy_ms: float, seconds: float) -> float:
        """Requests waiting, and places under way if CPU is to stay at its target, over an instance's concurrency."""
        cores = busy_ms / 1000 / seconds
        return self._outstanding() / self._platform.http_concurrency + cores / self._platform.cpu_target
