"""The report of a comparison as Markdown and JSON. Pure: figures in, text out."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.peers.comparison import Medians, Ratio

NOT_COMPARABLE = {
    "Servers": (
        "The peers' PostgreSQL, Redis and RabbitMQ are the real thing and are counted. CNS's Functions host, "
        "Service Bus and Cosmos DB are managed services; here Python emulators play them. So there are two "
        "columns: *own* (peers: their Python; CNS: the app's worker process) and *beside* (peers: servers; "
        "CNS: emulators). The targets compare the app's worker with a peer including its servers, because "
        "those are what one would run; the other pairings stand with them. In Azure the .NET host shares an "
        "instance's cores with the worker; its CPU is in no column."
    ),
    "Work": (
        "CNS also authenticates with JWT, routes, limits, claims before each call, keeps a history and "
        "sweeps. Seed 002 has idempotency, breakers and two inner calls; its status row is one upsert by the "
        "worker. The Celery pipeline has none of that: validate, queue, render, post, one row."
    ),
    "Accepting": (
        "Peers: the worker is held (SIGSTOP) meanwhile. CNS: the accepting half of the app alone, one worker "
        "process. All compete for the same cores with what they call. In one app, accepting and delivering "
        "share the CNS worker process; that is what *together* measures."
    ),
    "Durability": (
        "PostgreSQL fsyncs every commit, RabbitMQ confirms persistent messages, Redis fsyncs each second, the "
        "emulators commit to SQLite. No store has a replica."
    ),
    "Network": (
        "Loopback only, no TLS anywhere, a provider that answers at once. Provider latency, AMQP TLS and "
        "Application Insights are in no figure."
    ),
    "Not here": ("A peer like GOV.UK Notify is not included."),
}
_COLUMNS = (
    ("accept req/s", "accept.rate", 0),
    ("p50 ms", "accept.p50_ms", 1),
    ("p95 ms", "accept.p95_ms", 1),
    ("p99 ms", "accept.p99_ms", 1),
    ("backlog drained/s", "drain.rate", 0),
    ("together/s", "together.rate", 0),
    ("memory own MB", "memory.own", 0),
    ("memory beside MB", "memory.beside", 0),
)
_CPU = ("accept.cpu", "drain.cpu", "together.cpu")


def markdown(found: Medians, compared: Mapping[str, Sequence[Ratio]], facts: Mapping[str, Any]) -> str:
    """The whole report."""
    lines = ["# Comparison with peers", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += ["## Ratios", ""]
    for peer, ratios in compared.items():
        lines += [f"CNS over **{peer}**", "", *_ratio_table(ratios), ""]
    lines += ["## Rates, latency, memory", "", *_figure_table(found), ""]
    lines += ["## CPU seconds per 1,000", "", *_cpu_table(found), ""]
    lines += ["## What is not comparable", "", *(f"- **{name}.** {text}" for name, text in NOT_COMPARABLE.items()), ""]
    return "\n".join(lines)


def _ratio_table(ratios: Sequence[Ratio]) -> list[str]:
    rows = ["| what | CNS | peer | unit | ratio | target | |", "|---|---|---|---|---|---|---|"]
    verdicts = {None: "", True: "met", False: "**missed**"}
    for ratio in ratios:
        target = "" if ratio.target is None else _target(ratio)
        cells = (ratio.what, _number(ratio.cns), _number(ratio.peer), ratio.unit, _ratio(ratio.value), target)
        rows.append(f"| {' | '.join(cells)} | {verdicts[ratio.is_met]} |")
    return rows


def _target(ratio: Ratio) -> str:
    target = ratio.target
    assert target is not None  # noqa: S101 - asked only where there is one
    return f"{'≤' if target.at_most else '≥'} {_ratio(target.limit)}"


def _ratio(value: float) -> str:
    return f"{value:.2f}x" if value >= 1 else f"1/{1 / value:.1f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _figure_table(found: Medians) -> list[str]:
    rows = ["| subject | " + " | ".join(title for title, _, _ in _COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name, figures in found.items():
        cells = [f"{figures[key]:,.{digits}f}" if key in figures else "-" for _, key, digits in _COLUMNS]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _cpu_table(found: Medians) -> list[str]:
    rows = [
        "| subject | accept: own | beside | deliver: own | beside | together: own | beside | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in found.items():
        cells = [_cpu(figures, f"{phase}.{column}") for phase in _CPU for column in ("own", "beside")]
        everything = figures["together.cpu.own"] + figures["together.cpu.beside"]
        rows.append(f"| {name} | {' | '.join(cells)} | {everything:.2f} |")
    return rows


def _cpu(figures: Mapping[str, float], key: str) -> str:
    return f"{figures[key]:.2f}" if key in figures else "-"
