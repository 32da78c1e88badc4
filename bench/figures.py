"""Figures of a report: a name, a unit, repeated measurements, and the target they are held against."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.quantiles import spread


@dataclass(frozen=True)
class Target:
    """A bound on a figure's median."""

    limit: float
    at_most: bool = True

    def is_met_by(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"


def at_most(limit: float) -> Target:
    return Target(limit)


def at_least(limit: float) -> Target:
    return Target(limit, at_most=False)


# Where each comes from: design 8 (CPU), performance.md 6 (rates), design 2 and its arithmetic (RU), lanes (latency).
SINGLE_CPU = at_most(3.0)  # app CPU seconds per 1,000 delivered
BATCH_CPU = at_most(0.4)
SINGLE_RATE = at_least(250)  # delivered a second with everything on this machine
BATCH_RATE = at_least(1500)
HIGH_LANE_P95 = at_most(1.0)  # seconds from submission to the provider, while batches run
SINGLE_UNITS = at_most(30)  # RU a notification
BATCH_UNITS = at_most(20)
WAIT_P95 = at_most(1.0)
FLAT = at_most(
    1.25
)  # cost with the longest backlog over the least with a shorter one; below is noise of a busy machine


@dataclass(frozen=True)
class Figure:
    """One measured figure. ``samples`` are repetitions; the median counts."""

    name: str
    unit: str
    samples: Sequence[float]
    target: Target | None = None
    note: str = ""
    in_summary: bool = False  # also without a target

    @property
    def median(self) -> float:
        return spread(self.samples).median

    @property
    def is_met(self) -> bool | None:
        """None without a target."""
        return None if self.target is None else self.target.is_met_by(self.median)

    def to_json(self) -> dict[str, Any]:
        summary = spread(self.samples)
        return {
            "name": self.name,
            "unit": self.unit,
            **asdict(summary),
            "samples": list(self.samples),
            "target": str(self.target) if self.target else None,
            "met": self.is_met,
            "note": self.note,
        }


@dataclass
class Section:
    """One measurement's figures, what the machine was doing meanwhile, and anything else worth keeping."""

    title: str
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float] = (0.0, 0.0, 0.0)
    figures: list[Figure] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)  # by title: {row: {column: value}}
    charts: dict[str, str] = field(default_factory=dict)  # file name → SVG
    seconds: float = 0.0
    others: float | None = None  # share of the machine that went to anything else, at worst; None: not known

    def add(
        self,
        name: str,
        unit: str,
        samples: Sequence[float],
        target: Target | None = None,
        *,
        note: str = "",
        in_summary: bool = False,
    ) -> None:
        """Adds a figure unless nothing was measured."""
        if samples:
            self.figures.append(Figure(name, unit, list(samples), target, note, in_summary or target is not None))

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "seconds": round(self.seconds, 1),
            "load_average_before": self.load_before,
            "load_average_after": self.load_after,
            "used_by_others": self.others,
            "figures": [figure.to_json() for figure in self.figures],
            "tables": self.tables,
        }
