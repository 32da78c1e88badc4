"""Tables of the report as Markdown."""

from collections.abc import Iterator, Sequence

from bench.simulate.assumptions import LANES, Scenario
from bench.simulate.calibration import Costs
from bench.simulate.local_machine import Comparison
from bench.simulate.money import Bill
from bench.simulate.outcome import Outcome
from bench.simulate.prices import PriceList
from bench.simulate.seed_lines import SeedLine
from bench.simulate.sizing import Requirement

_WORDS = {"why", "quantities", "source", "from", "last", "unit", "certainty"}  # columns of text behind the numbers

# A second: performance target of the lane. 30 s and 10 min: when its oldest message raises an alert.
SERVICE_LEVELS = (("high", 1.0), ("high", 30.0), ("normal", 600.0), ("low", 3600.0))


def figure(value: float | None) -> str:
    """Three significant digits or whole numbers; a dash for nothing."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    """With the unit that suits it."""
    if value is None:
        return "-"
    if value < 120:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 1) -> str:
    """The first columns are text, the others are numbers."""
    marks = ["---" if number < text_columns or name in _WORDS else "---:" for number, name in enumerate(columns)]
    lines = [columns, marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def sizing_table(needs: Sequence[tuple[str, Requirement]]) -> str:
    rows = [
        [
            name,
            figure(need.request_units),
            str(need.partitions),
            figure(need.bus_bytes / 1e6),
            figure(need.bus_messages),
            f"{need.units_needed:.1f} → {need.messaging_units or 'several namespaces'}",
            figure(need.http_instances),
            figure(need.delivery_instances),
            figure(need.other_instances),
            str(need.instances),
        ]
        for name, need in needs
    ]
    columns = ["load", "RU/s", "partitions", "bus MB/s", "bus messages/s", "messaging units"]
    return table([*columns, "HTTP", "deliver", "track, callbacks", "instances"], rows)


def day_table(days: Sequence[tuple[Scenario, Outcome]]) -> str:
    rows = []
    for scenario, out in days:
        rows.append(
            [
                scenario.name,
                figure(scenario.load.peak),
                figure(out.offered / 1e6),
                figure(out.total_refused / 1e6),
                figure(out.sent / 1e6),
                figure(out.failed / 1e6),
                figure(out.peak_ru),
                figure(scenario.platform.cosmos_ru_max),
                f"{out.peak_bus_share * 100:.0f} % of {scenario.platform.messaging_units}",
                str(out.peak_instances),
                *(seconds(out.to_provider[lane].percentile(0.95)) for lane in LANES),
            ]
        )
    columns = ["day", "peak/s", "offered M", "refused M", "sent M", "failed M", "peak RU/s", "RU/s maximum"]
    return table([*columns, "bus, messaging units", "instances", *(f"p95 {lane}" for lane in LANES)], rows)


def spike_table(cases: Sequence[tuple[str, Scenario, Outcome]]) -> str:
    rows = []
    for policy, scenario, out in cases:
        drained = [value for value in out.drained.values() if value is not None]
        rows.append(
            [
                scenario.name,
                policy,
                figure(scenario.platform.cosmos_ru_max),
                str(scenario.platform.messaging_units),
                str(out.peak_instances),
                *(figure(out.refused[lane] / 1e3) for lane in LANES),
                figure(out.peak_backlog / 1e6),
                seconds(max(drained)) if len(drained) == len(out.drained) else "> 12 h",
                _last(out),
                *(seconds(out.to_provider[lane].percentile(0.95)) for lane in LANES),
                f"{out.difference:.1f}",
            ]
        )
    columns = ["spike", "policy", "RU/s maximum", "MU", "instances", *(f"refused {lane}, thousands" for lane in LANES)]
    columns += ["most waiting, M", "drained after", "last", *(f"p95 {lane}" for lane in LANES), "unaccounted"]
    return table(columns, rows, text_columns=2)


def service_table(runs: Sequence[tuple[str, str, Outcome]]) -> str:
    """How many of each lane reached the provider in time, and how long an answer to a high single took."""
    rows = []
    for name, policy, out in runs:
        shares = [out.to_provider[lane].share_within(limit) for lane, limit in SERVICE_LEVELS]
        answer = out.accept["high"].percentile(0.95)
        rows.append([name, policy, *("-" if share is None else f"{share:.2%}" for share in shares), seconds(answer)])
    columns = [f"{lane} within {seconds(limit)}" for lane, limit in SERVICE_LEVELS]
    return table(["run", "policy", *columns, "answer p95, high"], rows, text_columns=2)


def _last(out: Outcome) -> str:
    missing = [name for name, value in out.drained.items() if value is None]
    return missing[0] if missing else max(out.drained, key=lambda name: out.drained[name] or 0.0)


def bill_table(bills: Sequence[tuple[str, Bill]]) -> str:
    lines = list(dict.fromkeys((line.group, line.name) for _, bill in bills for line in bill.lines))
    rows = []
    for group, name in lines:
        found = [next((line for line in bill.lines if line.name == name), None) for _, bill in bills]
        how = "; ".join(line.how for line in found if line)
        rows.append([name, *(figure(line.dollars if line else None) for line in found), how])
        if (group, name) == [each for each in lines if each[0] == group][-1]:
            rows.append([f"**{group}**", *(f"**{bill.total(group):,.0f}**" for _, bill in bills), ""])
    rows.append(["**all**", *(f"**{bill.total():,.0f}**" for _, bill in bills), ""])
    rows.append(["a thousand notifications", *(f"{bill.per_thousand:.3f}" for _, bill in bills), ""])
    per = [f"{bill.total('Azure') / bill.notifications * 1000:.4f}" for _, bill in bills]
    rows.append(["of which Azure", *per, ""])
    return table(["$ a month", *(name for name, _ in bills), "quantities"], rows)


def _shown(value: float | None, unit: str) -> str:
    """Percentages near a hundred differ in their second decimal."""
    return f"{value:.2f}" if value is not None and unit == "%" and value < 100 else figure(value)


def seed_table(lines: Sequence[SeedLine]) -> str:
    rows = [
        [
            line.ids,
            line.what,
            line.unit,
            _shown(line.stated, line.unit),
            _shown(line.recomputed, line.unit) + (" **≠**" if line.contradicts_itself else ""),
            _shown(line.corrected, line.unit),
            line.why,
        ]
        for line in lines
    ]
    return table(
        ["id", "statement", "unit", "stated", "from its own assumptions", "corrected", "why"], rows, text_columns=3
    )


def comparison_table(rows: Sequence[Comparison]) -> str:
    return table(
        ["figure", "unit", "measured", "alone", "as loaded", "error alone", "error as loaded", "between"],
        [
            [
                row.what,
                row.unit,
                figure(row.measured),
                figure(row.alone),
                figure(row.loaded),
                *(f"{error:+.0f} %" for error in row.errors),
                "yes" if row.is_between else "no",
            ]
            for row in rows
        ],
        text_columns=2,
    )


def costs_table(costs: Costs) -> str:
    rows = []
    for names, source in costs.sources.items():
        for name in names.split(", "):
            value = getattr(costs, name)
            shown = (
                ", ".join(f"{kind} {figure(each)}" for kind, each in value.items()) if isinstance(value, dict) else ""
            )
            rows.append([name, shown or figure(value), source])
    return table(["cost of one notification", "value", "from"], rows, text_columns=3)


def price_table(prices: PriceList) -> str:
    rows = [
        [price.name, f"{price.value:g}", price.unit, price.date, price.certainty, price.source]
        for price in prices.all()
    ]
    return table(["price", "$", "unit", "date", "certainty", "source"], rows, text_columns=1)


def timeline(out: Outcome, step: int) -> Iterator[list[str]]:
    """Rows of every ``step``-th sample."""
    for sample in out.samples[::step]:
        yield [
            f"{sample.at / 3600:.2f}",
            figure(sample.offered),
            figure(sample.sent),
            figure(sample.refused),
            figure(sample.request_units),
            f"{sample.bus_share * 100:.0f} %",
            str(sample.instances),
            *(figure(sample.backlog[lane]) for lane in LANES),
            *(seconds(sample.p95[lane]) for lane in LANES),
        ]


def timeline_table(out: Outcome, rows: int = 24) -> str:
    columns = ["hour", "offered/s", "sent/s", "refused/s", "RU/s", "bus", "instances"]
    columns += [f"waiting {lane}" for lane in LANES] + [f"p95 {lane}" for lane in LANES]
    return table(columns, list(timeline(out, max(1, len(out.samples) // rows))))
