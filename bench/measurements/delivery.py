"""From submission to the provider with everything on one machine: rate, CPU by process, RU, memory."""

import time
from collections.abc import Sequence

from bench.figures import BATCH_CPU, BATCH_RATE, BATCH_UNITS, SINGLE_CPU, SINGLE_RATE, SINGLE_UNITS, Section, Target
from bench.load_plan import EMAIL, MIXED, Stream
from bench.observation import Bench, Observation
from bench.process_usage import cpu_by_role, difference, memory_by_role
from bench.quantiles import percentile
from bench.reporting.svg import stacked_chart
from bench.stack import Stack

_IDLE_SECONDS = 4.0
ITEMS = 1000


def singles(bench: Bench, *, channels: Sequence[str] = EMAIL, connections: int = 32) -> Stream:
    return Stream("singles", seconds=2.0 if bench.is_quick else 6.0, connections=connections, channels=channels)


def batches(bench: Bench, *, channels: Sequence[str] = EMAIL, count: int = 0) -> Stream:
    count = count or (4 if bench.is_quick else 10)
    return Stream("batches", count=count, connections=2, batch_items=ITEMS, channels=channels)


def warm_up(bench: Bench, stack: Stack) -> None:
    """Connections are open, templates compiled, code paths taken."""
    streams = [Stream("single", count=300, channels=MIXED), Stream("batch", count=2, batch_items=500, channels=MIXED)]
    bench.observe(stack, *streams)


def measure(bench: Bench, stack: Stack) -> None:
    """All deliveries, and what the processes need while nothing happens."""
    with bench.section("Idle") as section:
        _idle(stack, section)
    with bench.section("Singles, end to end") as section:
        seen = [bench.observe(stack, singles(bench)) for _ in range(bench.repeats())]
        by_process = {"single": _report(section, "single", seen, SINGLE_RATE, SINGLE_CPU, SINGLE_UNITS)}
        mixed = bench.observe(stack, singles(bench, channels=MIXED))
        section.add("app CPU for 1,000 singles, four channels mixed", "s", [mixed.cpu_per_thousand()])
    with bench.section("Batches of 1,000, end to end") as section:
        seen = [bench.observe(stack, batches(bench)) for _ in range(bench.repeats())]
        by_process["batch"] = _report(section, "batch", seen, BATCH_RATE, BATCH_CPU, BATCH_UNITS)
        mixed = bench.observe(stack, batches(bench, channels=MIXED))
        section.add("app CPU for 1,000 in batches, four channels mixed", "s", [mixed.cpu_per_thousand()])
        section.add("delivered a second in batches, four channels mixed", "1/s", [mixed.delivered_per_second])
        section.charts["cpu-by-process.svg"] = stacked_chart("CPU for 1,000 delivered, by process", by_process, "s")


def _idle(stack: Stack, section: Section) -> None:
    roles = stack.roles()
    before = cpu_by_role(roles)
    time.sleep(_IDLE_SECONDS)
    cpu, memory = difference(cpu_by_role(roles), before), memory_by_role(roles)
    section.tables["While nothing happens"] = {
        role: {"% of a core": cpu[role] / _IDLE_SECONDS * 100, "PSS MB": memory[role]} for role in roles
    }


def _report(  # noqa: PLR0917 - one call site for each lane, side by side
    section: Section, lane: str, seen: Sequence[Observation], rate: Target, cpu: Target, units: Target
) -> dict[str, float]:
    """Adds the lane's figures; gives CPU seconds for 1,000 by process."""
    section.add(f"delivered a second, {lane}", "1/s", [each.delivered_per_second for each in seen], rate)
    section.add(f"app CPU for 1,000 delivered, {lane}", "s", [each.cpu_per_thousand() for each in seen], cpu)
    section.add(f"RU a notification, {lane}", "RU", [each.units_per_notification() for each in seen], units)
    stream = next(iter(seen[0].load.streams))
    latencies = [each.load.latencies(stream) for each in seen]
    to_provider = [each.seconds_to_provider(stream) for each in seen]
    for label, share in (("p50", 0.5), ("p95", 0.95)):
        section.add(f"answer {label}, {lane}", "ms", [percentile(each, share) * 1000 for each in latencies])
        section.add(
            f"submission to provider {label}, {lane}", "ms", [percentile(each, share) * 1000 for each in to_provider]
        )
    by_process = {role: sum(each.cpu_per_thousand(role) for each in seen) / len(seen) for role in seen[0].cpu}
    section.tables["By process"] = {
        role: {"CPU s for 1,000": seconds, "PSS MB": seen[-1].memory.get(role, 0.0)}
        for role, seconds in by_process.items()
    }
    section.tables["By function, for 1,000 delivered"] = by_function(seen[-1])
    section.tables["Cosmos DB, a notification"] = by_operation(seen[-1])
    return by_process


def by_function(seen: Observation) -> dict[str, dict[str, float]]:
    """How often each function ran and how long it was under way (waiting included) for 1,000 delivered."""
    thousands = seen.delivered / 1000
    return {
        name: {"invocations": count / thousands, "wall s": seen.counters.wall_seconds.get(name, 0.0) / thousands}
        for name, count in seen.counters.invocations.items()
    }


def by_operation(seen: Observation) -> dict[str, dict[str, float]]:
    """Requests and request units of each Cosmos operation for one notification."""
    return {
        name: {"requests": count / seen.delivered, "RU": seen.counters.units.get(name, 0.0) / seen.delivered}
        for name, count in seen.counters.operations.items()
    }
