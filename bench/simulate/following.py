"""What follows a delivery: receipts from providers, their tracking, callbacks to consumers."""

from collections import defaultdict
from dataclasses import dataclass

from bench.simulate.assumptions import Platform
from bench.simulate.scaling import Fleet


@dataclass
class Stage:
    """A queue of alike items and the fleet that works it off."""

    cpu_ms: float
    request_units: float
    seconds: float  # each is under way
    messages: float  # an item's share of one
    fleet: Fleet
    platform: Platform
    waiting: float = 0.0
    left: float = 0.0  # after the last step's work, before what came of that step

    def plan(self, seconds: float) -> float:
        """Items the instances can do in the step."""
        platform = self.platform
        by_cpu = platform.cores_per_instance * platform.cpu_target * 1000 / self.cpu_ms
        by_calls = platform.concurrent_calls / self.messages / self.seconds
        return min(self.waiting, self.fleet.ready * min(by_cpu, by_calls) * seconds)

    def finish(self, amount: float) -> None:
        self.waiting = self.left = max(0.0, self.waiting - amount)

    def wanted_instances(self, served_a_second: float) -> float:
        return (self.left + served_a_second * self.seconds) * self.messages / self.platform.concurrent_calls


def stage(cpu_ms: float, request_units: float, seconds: float, messages: float, platform: Platform) -> Stage:
    """A stage with a fleet of its own."""
    fleet = Fleet(
        always_ready=0,
        maximum=platform.instances_max,
        cold_start=platform.cold_start_seconds,
        interval=platform.event_scale_seconds,
        step=platform.event_scale_step,
        scale_in_after=platform.scale_in_seconds,
    )
    return Stage(cpu_ms, request_units, seconds, messages, fleet, platform)


class Receipts:
    """Receipts on their way and at the door. A provider repeats what is not taken, so they wait."""

    def __init__(self, delay: float, seconds: float) -> None:
        self._delay, self._seconds = delay, seconds
        self._due: dict[int, float] = defaultdict(float)
        self.waiting = 0.0

    def expect(self, now: float, amount: float) -> None:
        step = int(now / self._seconds)
        self._due[max(step + 1, int((now + self._delay) / self._seconds))] += amount

    def arrive(self, now: float) -> None:
        self.waiting += self._due.pop(int(now / self._seconds), 0.0)

    def take(self, amount: float) -> float:
        taken = min(self.waiting, amount)
        self.waiting -= taken
        return taken
