"""What the stand-in counts: request units, messages, invocations. Snapshots over HTTP, and the difference of two."""

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_READ_TIMEOUT_SECONDS = 30
_BUS_TRIGGER = "serviceBusTrigger"


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_READ_TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own addresses
        return json.load(answer)


@dataclass(frozen=True)
class Counters:
    """Totals since the parts started; a difference of two is what happened between them."""

    units: Mapping[str, float]  # "operation container" → RU
    operations: Mapping[str, float]  # "operation container" → requests
    invocations: Mapping[str, float]  # function → count
    failures: Mapping[str, float]
    wall_seconds: Mapping[str, float]  # function → seconds under way, waiting included
    messages_received: float  # by functions with a Service Bus trigger; each is settled as well
    throttled: float

    def since(self, before: "Counters") -> "Counters":
        return Counters(
            _minus(self.units, before.units),
            _minus(self.operations, before.operations),
            _minus(self.invocations, before.invocations),
            _minus(self.failures, before.failures),
            _minus(self.wall_seconds, before.wall_seconds),
            self.messages_received - before.messages_received,
            self.throttled - before.throttled,
        )

    @property
    def total_units(self) -> float:
        return sum(self.units.values())


def _minus(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {
        name: round(value - before.get(name, 0), 6) for name, value in after.items() if value != before.get(name, 0)
    }


def counters_from(stats: dict[str, Any], metrics: dict[str, Any]) -> Counters:
    """From Cosmos' ``/_emulator/stats`` and the host's ``/metrics.json``."""
    named = {f"{each['operation']} {each['container']}".strip(): each for each in stats["operations"]}
    functions = metrics["functions"]
    return Counters(
        units={name: each["request_units"] for name, each in named.items()},
        operations={name: each["requests"] for name, each in named.items()},
        invocations={name: each["invocations"] for name, each in functions.items()},
        failures={name: each["failures"] for name, each in functions.items()},
        wall_seconds={name: each["total_seconds"] for name, each in functions.items()},
        messages_received=sum(each["invocations"] for each in functions.values() if each["trigger"] == _BUS_TRIGGER),
        throttled=stats["throttled"],
    )


def bus_depth(entities: list[dict[str, Any]], *, except_for: str = "") -> int:
    """Messages that wait or are being worked on, dead letters apart, in all queues and subscriptions but one."""
    return sum(
        each["active"] + each["locked"]
        for each in entities
        if each["kind"] != "topic" and not (except_for and each["name"].endswith(f"/{except_for}"))
    )


def dead_letters(entities: list[dict[str, Any]]) -> int:
    return sum(each["dead_letter"] for each in entities if each["kind"] != "topic")


def depth_of(entities: list[dict[str, Any]], topic: str, subscription: str) -> int:
    """Messages in one subscription. Raises StopIteration when there is none of that name."""
    name = f"{topic}/Subscriptions/{subscription}"
    return next(each["active"] + each["locked"] for each in entities if each["name"] == name)
