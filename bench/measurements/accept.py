"""Accepting singles alone: how fast, how quickly answered, at what cost; then delivering alone what piled up.

The accepting half of the app runs first, so nothing is delivered meanwhile; the whole app then finds everything on the
bus. Together the two tell which stage costs what.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.figures import Section
from bench.load_plan import Stream
from bench.load_result import Load
from bench.observation import GENERATOR, Bench, Books, Watch
from bench.process_usage import cpu_by_role, difference
from bench.quantiles import percentile
from bench.reporting.svg import bar_chart
from bench.stack import APP, Stack, StackOptions, running_stack

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_CONNECTIONS = (1, 8, 32)
# The sweeper publishes again what has waited for longer than this. Here it waits on purpose.
_SETTINGS = {"PUBLISH_PATIENCE_SECONDS": "3600"}


@dataclass
class _Case:
    """One way of submitting, and what its repetitions gave."""

    stream: Stream
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # of the app, seconds for 1,000 accepted
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def measure(bench: Bench, options: StackOptions) -> None:
    """Both halves, on one data folder."""
    books = Books.now(bench.provider)
    with running_stack(replace(options, accept_only=True, settings=_SETTINGS)) as stack:
        loads = [bench.submit(stack, Stream("warm-up", count=300))]
        with bench.section("Accept alone: singles, nothing delivered meanwhile") as section:
            loads += _accept(bench, stack, section)
    with running_stack(replace(options, settings=_SETTINGS)) as stack:
        watch = Watch(stack, books)
        with bench.section("Deliver alone: singles left on the bus by accepting") as section:
            _deliver(bench, watch, loads, section)


def _cases(bench: Bench) -> list[_Case]:
    rates = (50,) if bench.is_quick else (50, 100, 200)
    streams = []
    for with_key in (False, True):
        name = "with key" if with_key else "without key"
        closed = Stream("", seconds=0.8 if bench.is_quick else 1.2, with_key=with_key)
        streams += [replace(closed, name=f"c={c} {name}", connections=c) for c in _CONNECTIONS]
        fixed = replace(closed, seconds=2.0)
        streams += [replace(fixed, name=f"{rate}/s {name}", rate=rate) for rate in rates]
    return [_Case(stream) for stream in streams]


def _accept(bench: Bench, stack: Stack, section: Section) -> list[Load]:
    cases, loads = _cases(bench), []
    for _ in range(bench.repeats()):
        loads += [_once(bench, stack, case) for case in cases]
    chart = {}
    for case in cases:
        name, is_open = case.stream.name, bool(case.stream.rate)
        loop = "open" if is_open else "closed"
        if not is_open:
            section.add(f"accept rate, {loop} {name}", "requests/s", case.rates, in_summary=True)
        for label, values in case.latencies.items():
            section.add(f"accept {label}, {loop} {name}", "ms", values, in_summary=label == "p95")
        section.add(f"app CPU to accept 1,000, {loop} {name}", "s", case.cpu)
        if not is_open:
            row = f"c={case.stream.connections}{', key' if case.stream.with_key else ''}"
            chart[row] = {label: median(values) for label, values in case.latencies.items()}
    section.charts["accept-latency.svg"] = bar_chart("Accept latency, closed loop (deliveries held)", chart, "ms")
    bench.stages["single"] = {"accept": median(cases[len(_CONNECTIONS) - 1].cpu)}
    cost = sum(load.cpu_seconds for load in loads) / max(1, sum(len(load.requests()) for load in loads))
    section.add("load generator CPU a request", "µs", [cost * 1e6])
    return loads


def _once(bench: Bench, stack: Stack, case: _Case) -> Load:
    roles = {APP: stack.roles()[APP]}
    before = cpu_by_role(roles)
    load = bench.submit(stack, case.stream)
    cpu = difference(cpu_by_role(roles), before)[APP]
    seconds = load.latencies(case.stream.name)
    if seconds:
        case.rates.append(len(seconds) / (load.ended - load.started))
        case.cpu.append(cpu / len(seconds) * 1000)
        for label, share in PERCENTILES.items():
            case.latencies[label].append(percentile(seconds, share) * 1000)
    return load


def _deliver(bench: Bench, watch: Watch, loads: Sequence[Load], section: Section) -> None:
    seen = bench.settle(watch, loads)
    if not seen.calls:
        return  # it was all delivered before the counters were read
    first, last = min(at for _, at in seen.calls), max(at for _, at in seen.calls)
    section.add("deliveries a second, singles, nothing accepted meanwhile", "1/s", [seen.delivered / (last - first)])
    section.add("app CPU to deliver 1,000 singles", "s", [seen.cpu_per_thousand()])
    bench.stages["single"]["deliver"] = seen.cpu_per_thousand()
    section.tables["CPU seconds for 1,000 delivered, by process"] = {
        role: {"s": seen.cpu_per_thousand(role)} for role in seen.cpu if role != GENERATOR
    }
