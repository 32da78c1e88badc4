"""One load on one stack, observed from all sides: what it cost, what arrived, and whether the books agree."""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.counters import Counters
from bench.figures import Section
from bench.load_plan import Plan, Stream
from bench.load_result import Load, generate
from bench.process_usage import cpu_by_role, difference, machine_cpu_seconds, memory_by_role
from bench.provider_client import Provider
from bench.reconcile import FINAL, Call, Reconciliation, View, reconcile, suspects, tracking_id_of
from bench.stack import APP, Stack

GENERATOR = "load generator"
_ASKED_AT_MOST = 500  # status answers of suspects in one load
_SAMPLE = 50  # of the others
_FINAL_WITHIN_SECONDS = 30.0
_NUMBERS_FOR_A_STREAM = 1_000_000


@dataclass
class Observation:
    """What one load came to. Instants are monotonic seconds."""

    load: Load
    calls: Sequence[Call]
    cpu: Mapping[str, float]  # seconds by role
    counters: Counters
    memory: Mapping[str, float]  # megabytes by role, at the end
    others: float  # share of the machine that went to anything else

    @property
    def delivered(self) -> int:
        """Distinct notifications that reached the provider."""
        return len({attempt.rsplit(".", 2)[0] for attempt, _ in self.calls})

    @property
    def delivered_per_second(self) -> float:
        """From the start of the load to the last arrival."""
        return self.delivered / (max(at for _, at in self.calls) - self.load.started)

    def cpu_per_thousand(self, role: str = APP) -> float:
        """CPU seconds for 1,000 delivered."""
        return self.cpu[role] / self.delivered * 1000

    def units_per_notification(self) -> float:
        return self.counters.total_units / self.delivered

    def seconds_to_provider(self, stream: str) -> list[float]:
        """From submission to the first provider call, for each notification of a stream that has one."""
        first: dict[str, float] = {}
        for attempt, at in self.calls:
            first.setdefault(tracking_id_of(attempt), at)
        submitted = self.load.submitted_at(stream)
        return [first[each] - due for each, due in submitted.items() if each in first]


@dataclass
class Bench:
    """What all measurements of one run share."""

    provider: Provider
    data: Path
    seed: int
    is_quick: bool
    say: Callable[[str], None]
    verdict: Reconciliation = field(default_factory=lambda: Reconciliation(0, 0))
    refused: dict[str, int] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)  # lane → stage → app CPU seconds for 1,000
    _streams: int = 0
    _others: list[float] = field(default_factory=list)  # of the section's observations

    def repeats(self, full: int = 3) -> int:
        return 1 if self.is_quick else full

    def plan(self, stack: Stack, streams: Sequence[Stream]) -> Plan:
        """The streams, each with recipients that no other has."""
        numbered = []
        for stream in streams:
            numbered.append(replace(stream, first_number=self._streams * _NUMBERS_FOR_A_STREAM))
            self._streams += 1
        return Plan(stack.api_port, stack.headers, numbered, self.provider.url, self.seed)

    @contextmanager
    def section(self, title: str) -> Iterator[Section]:
        """A section of the report, timed, with the load average around it."""
        self.say(f"{title} …")
        section, started = Section(title, os.getloadavg()), time.monotonic()
        self._others.clear()
        yield section
        section.others = max(self._others, default=None)
        section.load_after, section.seconds = os.getloadavg(), time.monotonic() - started
        self.sections.append(section)

    def submit(self, stack: Stack, *streams: Stream) -> Load:
        """Only the load, without waiting for what comes of it."""
        load = generate(self.plan(stack, streams))
        for answer, count in load.refusals().items():
            self.refused[answer] = self.refused.get(answer, 0) + count
        return load

    def observe(self, stack: Stack, *streams: Stream) -> Observation:
        """The load, everything that follows from it, and the books."""
        watch = Watch(stack)
        load = self.submit(stack, *streams)
        return self.settle(watch, [load])

    def settle(self, watch: "Watch", loads: Sequence[Load]) -> Observation:
        """Waits until all of the loads has come to rest, and closes the books over it."""
        stack = watch.stack
        accepted = [each for load in loads for request in load.requests() for each in request.tracking_ids()]
        self.provider.wait_for(watch.books.notifications + len(accepted))
        stack.wait_until_idle()
        seen = watch.observation(loads[-1])
        self._others.append(seen.others)
        calls = self.provider.calls_since(watch.books.calls)
        verdict = reconcile(accepted, calls, self._views(stack, accepted, calls))
        self.verdict += verdict
        if not verdict.is_clean:
            self.say(f"  LOST OR DOUBLED: {verdict}")
        return seen

    def _views(self, stack: Stack, accepted: Sequence[str], calls: Sequence[Call]) -> dict[str, View]:
        """The final status of everything suspicious and of a sample; waits a while for what is not final yet."""
        sample = random.Random(self.seed).sample(list(accepted), min(_SAMPLE, len(accepted)))
        waiting = list(dict.fromkeys([*suspects(accepted, calls)[:_ASKED_AT_MOST], *sample]))
        views: dict[str, View] = {}
        deadline = time.monotonic() + _FINAL_WITHIN_SECONDS
        while waiting:
            views |= {each: stack.view(each) for each in waiting}
            waiting = [each for each in waiting if views[each].get("status") not in FINAL]
            if time.monotonic() > deadline:
                break
            time.sleep(0.5 if waiting else 0)
        return views


@dataclass(frozen=True)
class Books:
    """How far the provider's ledger was written at some moment."""

    calls: int
    notifications: int

    @classmethod
    def now(cls, provider: Provider) -> "Books":
        counts = provider.counts()
        return cls(counts["calls"], counts["notifications"])


class Watch:
    """Where the counters stood when it was made. ``books`` may be older: then they are closed over more."""

    def __init__(self, stack: Stack, books: Books | None = None) -> None:
        self.stack = stack
        self._calls_before = stack.provider.counts()["calls"]
        self.books = books or Books.now(stack.provider)
        self._counters = stack.counters()
        self._roles = stack.roles()
        self._machine, self._own, self._began = machine_cpu_seconds(), time.process_time(), time.monotonic()
        self._cpu = cpu_by_role(self._roles)

    def observation(self, load: Load) -> Observation:
        """What happened since, with ``load`` as its cause."""
        cpu = difference(cpu_by_role(self._roles), self._cpu) | {GENERATOR: load.cpu_seconds}
        seconds = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        ours = sum(cpu.values()) + time.process_time() - self._own
        others = max(0.0, machine_cpu_seconds() - self._machine - ours) / seconds
        counters = self.stack.counters().since(self._counters)
        calls = self.stack.provider.calls_since(self._calls_before)
        return Observation(load, calls, cpu, counters, memory_by_role(self._roles), others)
