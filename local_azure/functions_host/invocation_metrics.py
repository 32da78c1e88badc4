"""Counts, latencies and recent failures of each function, for /metrics.json and the live page."""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_RECENT = 512
_KEPT_FAILURES = 50


@dataclass
class FunctionMetrics:
    """One function since the host started."""

    invocations: int = 0
    failures: int = 0
    in_flight: int = 0
    total_seconds: float = 0.0
    recent_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def summary(self) -> dict[str, Any]:
        recent = sorted(self.recent_seconds)
        return {
            "invocations": self.invocations,
            "failures": self.failures,
            "in_flight": self.in_flight,
            "total_seconds": round(self.total_seconds, 6),
            "p50_seconds": _quantile(recent, 0.5),
            "p95_seconds": _quantile(recent, 0.95),
        }


class Metrics:
    """All functions."""

    def __init__(self) -> None:
        self.started = time.time()
        self.functions: dict[str, FunctionMetrics] = {}
        self.failures: deque[dict[str, Any]] = deque(maxlen=_KEPT_FAILURES)

    def of(self, name: str) -> FunctionMetrics:
        metrics = self.functions.get(name)
        if metrics is None:
            metrics = self.functions[name] = FunctionMetrics()
        return metrics

    def note_failure(self, function: str, invocation_id: str, error: str, trace: str) -> None:
        self.failures.append(
            {
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "function": function,
                "invocation_id": invocation_id,
                "error": error[:2000],
                "trace": trace[-8000:],
            }
        )


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 6)
