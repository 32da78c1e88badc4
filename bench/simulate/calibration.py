"""What one notification costs: CPU, request units, bytes. From the load bench's report when there is one.

Takes bench/report/report.json (written by ``make bench``); gives Costs. What the report lacks keeps its default, which
comes from the design documents, and every value says where it is from.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPORT = Path(__file__).parents[1] / "report" / "report.json"


@dataclass(frozen=True)
class Costs:
    """CPU milliseconds of a core, request units, bytes on the bus. Single: a request of its own; batch: in chunks."""

    accept_cpu: Mapping[str, float] = field(default_factory=lambda: {"single": 1.63, "batch": 0.045})
    deliver_cpu: Mapping[str, float] = field(default_factory=lambda: {"single": 2.3, "batch": 0.22})
    receipt_cpu: float = 0.8  # HTTP 530 µs, verification, publish 260 µs
    track_cpu: float = 1.3  # trigger 490 µs, conditional patch 830 µs
    callback_cpu: Mapping[str, float] = field(default_factory=lambda: {"single": 1.5, "batch": 0.3})
    accept_ru: Mapping[str, float] = field(default_factory=lambda: {"single": 18.0, "batch": 18.0})
    key_ru: float = 0.0  # the default's 18 include the key's record
    deliver_ru: Mapping[str, float] = field(default_factory=lambda: {"single": 20.0, "batch": 20.0})
    feed_ru: Mapping[str, float] = field(default_factory=lambda: {"single": 0.0, "batch": 0.0})
    status_ru: float = 10.0  # a receipt's or a callback's conditional patch
    audit_ru: float = 12.0  # two entries; designed, not built
    submitted_bytes: Mapping[str, float] = field(default_factory=lambda: {"single": 830.0, "batch": 112.0})
    status_bytes: Mapping[str, float] = field(default_factory=lambda: {"single": 880.0, "batch": 223.0})
    callback_bytes: Mapping[str, float] = field(default_factory=lambda: {"single": 700.0, "batch": 180.0})
    document_bytes: float = 1000.0  # with its index; 50 GB a day at 50 M
    sources: Mapping[str, str] = field(default_factory=lambda: dict(_DEFAULT_SOURCES))

    @property
    def total_ru(self) -> float:
        """A single notification with one receipt, one callback and its audit entries."""
        written = self.accept_ru["single"] + self.deliver_ru["single"] + self.feed_ru["single"]
        return written + 2 * self.status_ru + self.audit_ru


_DEFAULT_SOURCES = {
    "accept_cpu": "operations added up: HTTP, validation, store, publish",
    "deliver_cpu": "operations added up: trigger, two patches, render, provider call",
    "receipt_cpu, track_cpu, callback_cpu": "operations added up; not measured end to end",
    "accept_ru, deliver_ru, status_ru": "5 RU create and 10 RU replace of 1 KB with default indexing",
    "audit_ru": "two creates of 1 KB; the audit log is designed and not built",
    "submitted_bytes, status_bytes": "bodies as encoded (530 and 580 B single, 106 and 217 B in chunks)"
    " and 300 B of properties and framing a message",
    "callback_bytes": "estimated from the payload's model",
    "document_bytes": "assumed",
}


def load_costs(path: Path = REPORT) -> Costs:
    """The costs in the report; the defaults when there is no report."""
    if not path.exists():
        return Costs()
    return costs_from(json.loads(path.read_text()))


def costs_from(report: Mapping[str, Any]) -> Costs:
    costs, sources = Costs(), dict(_DEFAULT_SOURCES)
    sections = {section["title"]: section for section in report["sections"]}
    about = report["about"]
    origin = f"make bench{' (quick)' if about['quick'] else ''}, {about['date'][:10]}, {about['sources']}"
    changes: dict[str, Any] = {}
    for name, value in _measured(sections, costs):
        changes[name] = value
        sources = {key: text for key, text in sources.items() if name not in key.split(", ")}
        sources[name] = origin
    return replace(costs, **changes, sources=sources)


def _measured(sections: Mapping[str, Any], costs: Costs) -> Iterator[tuple[str, Any]]:
    singles, batches = (_starting(sections, title) for title in ("Singles, end", "Batches of"))
    accept, deliver = _stages(sections, costs, {"single": _cpu(singles, "single"), "batch": _cpu(batches, "batch")})
    if accept != costs.accept_cpu:
        yield "accept_cpu", accept
    if deliver != costs.deliver_cpu:
        yield "deliver_cpu", deliver
    if singles and batches:
        yield from _units(_table(singles, "Cosmos DB, a notification"), _table(batches, "Cosmos DB, a notification"))


def _stages(
    sections: Mapping[str, Any], costs: Costs, totals: Mapping[str, float | None]
) -> tuple[dict[str, float], dict[str, float]]:
    """CPU to accept and to deliver: measured apart where the report has that, else the total less the default."""
    accept, deliver = dict(costs.accept_cpu), dict(costs.deliver_cpu)
    section = _starting(sections, "App CPU by stage")
    measured = _table(section, "CPU seconds for 1,000") if section else {}
    for kind, total in totals.items():
        stages = measured.get(kind, {})
        if "accept" in stages and "deliver" in stages:
            accept[kind], deliver[kind] = stages["accept"], stages["deliver"]
        elif total:
            deliver[kind] = max(0.05, total - accept[kind])
    return accept, deliver


def _units(single: Mapping[str, Any], batch: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A batch's one operation holds the creates, the claims and the outcomes; it is split as the singles' are."""
    create, patch = _ru(single, "create notification-tracking"), _ru(single, "patch notification-tracking")
    in_batches = _ru(batch, "batch notification-tracking")
    if not create or not patch or not in_batches:
        return
    share = create / (create + patch)
    yield "accept_ru", {"single": create, "batch": in_batches * share}
    yield "key_ru", create
    yield "deliver_ru", {"single": patch, "batch": in_batches * (1 - share)}
    yield "status_ru", patch / 2
    feed = ("change_feed", "query", "replace leases")
    yield (
        "feed_ru",
        {
            kind: sum(row["RU"] for name, row in table.items() if name.startswith(feed))
            for kind, table in (("single", single), ("batch", batch))
        },
    )


def _starting(sections: Mapping[str, Any], title: str) -> Mapping[str, Any] | None:
    return next((section for name, section in sections.items() if name.startswith(title)), None)


def _figure(section: Mapping[str, Any] | None, name: str) -> float | None:
    figures = section["figures"] if section else []
    return next((figure["median"] for figure in figures if figure["name"].startswith(name)), None)


def _cpu(section: Mapping[str, Any] | None, lane: str) -> float | None:
    return _figure(section, f"app CPU for 1,000 delivered, {lane}")


def _table(section: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return section["tables"].get(name, {})


def _ru(table: Mapping[str, Any], operation: str) -> float:
    return table.get(operation, {}).get("RU", 0.0)
