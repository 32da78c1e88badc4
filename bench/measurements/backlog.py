"""Cost of a notification by how many wait: must be flat.

A backlog of batches is accepted for one later instant (``sendAt``): until then the broker holds it, then all of it is
there at once, in front of an app that is warm. Accepting and delivering are measured apart.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.figures import FLAT, Section
from bench.load_plan import Stream
from bench.measurements.delivery import ITEMS, by_function
from bench.observation import Bench, Books, Observation, Watch
from bench.quantiles import growth, spread
from bench.reporting.svg import line_chart
from bench.stack import APP, Stack

_FIRST_GUESS = 500.0  # notifications accepted a second; later ones are planned from what was seen
_CAUTION = 1.5
_MARGIN_SECONDS = 3.0
_REPEATED_BELOW = 10_000
_TYPICAL = 10_000  # the backlog whose costs stand for the stages of a batch


@dataclass(frozen=True)
class _Drained:
    """One backlog: accepted, then delivered."""

    accept_cpu: float  # app seconds for 1,000
    accept_units: float
    accepted_per_second: float
    delivery: Observation

    @property
    def deliveries_per_second(self) -> float:
        instants = [at for _, at in self.delivery.calls]
        return len(instants) / (max(instants) - min(instants))


def measure(bench: Bench, stack: Stack) -> None:
    sizes = (1_000, 10_000) if bench.is_quick else (1_000, 10_000, 100_000)
    results: dict[int, list[_Drained]] = {}
    pace = _FIRST_GUESS
    with bench.section("Cost of a notification as the backlog grows") as section:
        for size in sizes:
            bench.say(f"  {size:,} waiting")
            repeats = bench.repeats() if size < _REPEATED_BELOW else 1
            results[size] = [_drain(bench, stack, size, pace) for _ in range(repeats)]
            pace = results[size][-1].accepted_per_second / _CAUTION
            _report(section, size, results[size])
        _compare(bench, section, results)


def _drain(bench: Bench, stack: Stack, size: int, pace: float) -> _Drained:
    books = Books.now(bench.provider)
    due = datetime.now(UTC) + timedelta(seconds=size / pace + _MARGIN_SECONDS)
    before = Watch(stack)
    load = bench.submit(
        stack, Stream("backlog", count=size // ITEMS, connections=2, batch_items=ITEMS, send_at=due.isoformat())
    )
    accepted = before.observation(load)
    ids = sum(len(request.tracking_ids()) for request in load.requests())
    late = (datetime.now(UTC) - due).total_seconds()
    if late > 0:
        bench.say(f"  accepting took {late:.0f} s longer than planned: delivery overlaps it")
    time.sleep(max(0.0, -late - 0.5))
    watch = Watch(stack, books)
    delivery = bench.settle(watch, [load])
    return _Drained(
        accept_cpu=accepted.cpu[APP] / ids * 1000,
        accept_units=accepted.counters.total_units / ids,
        accepted_per_second=ids / (load.ended - load.started),
        delivery=delivery,
    )


def _report(section: Section, size: int, drained: list[_Drained]) -> None:
    name = f"{size:,} waiting"
    section.add(f"app CPU to accept 1,000, up to {name}", "s", [each.accept_cpu for each in drained])
    section.add(f"app CPU to deliver 1,000, {name}", "s", [each.delivery.cpu_per_thousand() for each in drained])
    section.add(
        f"RU a notification, {name}",
        "RU",
        [each.accept_units + each.delivery.units_per_notification() for each in drained],
    )
    section.add(f"accepted a second, up to {name}", "1/s", [each.accepted_per_second for each in drained])
    section.add(f"deliveries a second, {name}", "1/s", [each.deliveries_per_second for each in drained])
    section.tables[f"By function, for 1,000 delivered, {name}"] = by_function(drained[-1].delivery)


def _compare(bench: Bench, section: Section, results: dict[int, list[_Drained]]) -> None:
    costs = {
        "accept": {size: spread([each.accept_cpu for each in drained]).median for size, drained in results.items()},
        "deliver": {
            size: spread([each.delivery.cpu_per_thousand() for each in drained]).median
            for size, drained in results.items()
        },
    }
    bench.stages["batch"] = {stage: by_size[_TYPICAL] for stage, by_size in costs.items()}
    for stage, by_size in costs.items():
        note = "with the longest backlog over the least with a shorter one; 1 is flat"
        section.add(f"growth of the cost to {stage}", "times", [growth(list(by_size.values()))], FLAT, note=note)
    section.charts["backlog.svg"] = line_chart(
        "App CPU for 1,000 by backlog",
        {stage: [(float(size), cost) for size, cost in by_size.items()] for stage, by_size in costs.items()},
        x="notifications waiting",
        y="CPU seconds for 1,000",
        log_x=True,
    )
