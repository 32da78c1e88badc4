"""Counts of requests, request units and throttled answers, for each operation and container."""

from typing import Any


class Statistics:
    """Counters since the start or the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.counts: dict[tuple[str, str, int], int] = {}
        self.units: dict[tuple[str, str], float] = {}

    def record(self, operation: str, container: str, status: int, charge: float) -> None:
        key = (operation, container, status)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.units[key[:2]] = self.units.get(key[:2], 0.0) + charge

    def report(self) -> dict[str, Any]:
        operations: dict[str, dict[str, Any]] = {}
        for (operation, container, status), count in sorted(self.counts.items()):
            entry = operations.setdefault(
                f"{operation} {container}".strip(),
                {"operation": operation, "container": container, "requests": 0, "statuses": {}},
            )
            entry["requests"] += count
            entry["statuses"][str(status)] = count
            entry["request_units"] = round(self.units[operation, container], 2)
        return {
            "requests": sum(self.counts.values()),
            "request_units": round(sum(self.units.values()), 2),
            "throttled": sum(count for (_, _, status), count in self.counts.items() if status == 429),
            "operations": list(operations.values()),
        }
