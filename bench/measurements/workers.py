"""More worker processes on the same machine: what a second and a fourth bring while everything shares its cores."""

from dataclasses import replace

from bench.load_plan import Stream
from bench.measurements.delivery import batches, singles, warm_up
from bench.observation import Bench, Observation
from bench.reporting.svg import line_chart
from bench.stack import StackOptions, running_stack


def measure(bench: Bench, options: StackOptions) -> None:
    counts = (1, 2) if bench.is_quick else (1, 2, 4)
    rates: dict[str, list[tuple[float, float]]] = {"singles": [], "batches": []}
    with bench.section("Workers of the Functions host") as section:
        for count in counts:
            name = f"{count} worker{'s' if count > 1 else ''}"
            bench.say(f"  {name}")
            with running_stack(replace(options, workers=count, data=options.data / f"workers-{count}")) as stack:
                warm_up(bench, stack)
                for lane, stream in _streams(bench).items():
                    seen: Observation = bench.observe(stack, stream)
                    rates[lane].append((count, seen.delivered_per_second))
                    section.add(f"{lane} delivered a second, {name}", "1/s", [seen.delivered_per_second])
                    section.add(f"app CPU for 1,000, {lane}, {name}", "s", [seen.cpu_per_thousand()])
        section.charts["workers.svg"] = line_chart(
            "Delivered a second by workers", rates, x="worker processes", y="delivered a second"
        )


def _streams(bench: Bench) -> dict[str, Stream]:
    return {"singles": singles(bench), "batches": batches(bench)}
