"""Synchronous waiting (Prefer: wait): how long until the outcome, idle and while batches run."""

from bench.figures import WAIT_P95, Section
from bench.load_plan import Stream
from bench.load_result import Load
from bench.measurements.lanes import background
from bench.observation import Bench
from bench.quantiles import percentile
from bench.stack import Stack

_PATIENCE_SECONDS = 20
_RATE = 5


def measure(bench: Bench, stack: Stack) -> None:
    seconds = 3.0 if bench.is_quick else 10.0
    idle = Stream("wait", seconds=seconds, connections=1, lane="high", wait_seconds=_PATIENCE_SECONDS)
    busy = Stream("wait", seconds=seconds, rate=_RATE, lane="high", wait_seconds=_PATIENCE_SECONDS)
    with bench.section("Prefer: wait, high lane") as section:
        for name, streams in (("idle", [idle]), (f"{_RATE}/s, batches running", [busy, *background(seconds)])):
            loads = [bench.observe(stack, *streams).load for _ in range(bench.repeats(2))]
            _report(section, name, loads)


def _report(section: Section, name: str, loads: list[Load]) -> None:
    for label, share in (("p50", 0.5), ("p95", 0.95)):
        values = [percentile(load.latencies("wait"), share) for load in loads]
        section.add(f"wait {label}, {name}", "s", values, WAIT_P95 if label == "p95" else None)
    answers = [request.status for load in loads for request in load.streams["wait"]]
    section.add(f"answered with the outcome, {name}", "%", [100 * answers.count(200) / len(answers)])
