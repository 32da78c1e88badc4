"""Faults on request: answer some calls with an error, later, or not at all.

Takes rules posted to `/_emulator/faults`; gives, for a call, the first rule that fires. A rule matches on operation,
container and a part of the path (absent = any) and fires `count` times (absent = always) with a probability.
"""

import random
from typing import Any

from local_azure.cosmos.errors import bad_request

_FIELDS = {
    "operation": (str,),
    "container": (str,),
    "path": (str,),
    "status": (int,),
    "substatus": (int,),
    "count": (int,),
    "probability": (int, float),
    "retry_after_ms": (int,),
    "delay_ms": (int, float),
    "drop": (bool,),
}


class Fault:
    """One rule."""

    def __init__(self, rule: Any) -> None:
        if not isinstance(rule, dict):
            raise bad_request("A fault is a JSON object.")
        for name, value in rule.items():
            if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
                raise bad_request(f"A fault has no field '{name}' with this type; known: {', '.join(_FIELDS)}.")
        if not {"status", "delay_ms", "drop"} & rule.keys():
            raise bad_request("A fault needs 'status', 'delay_ms' or 'drop'.")
        self.rule = rule
        self.remaining: int | None = rule.get("count")
        self.fired = 0

    def fires(self, operation: str, container: str | None, path: str) -> bool:
        rule = self.rule
        if self.remaining == 0 or rule.get("operation", operation) != operation:
            return False
        if rule.get("container", container) != container or rule.get("path", "") not in path:
            return False
        if random.random() >= rule.get("probability", 1.0):  # noqa: S311 - not a secret
            return False
        if self.remaining is not None:
            self.remaining -= 1
        self.fired += 1
        return True

    def describe(self) -> dict[str, Any]:
        return {**self.rule, "remaining": self.remaining, "fired": self.fired}


class Faults:
    """The rules in force, in the order they were posted."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def add(self, body: Any) -> None:
        """Adds one rule or a list of rules. Raises 400 for a rule that is not understood."""
        self.rules += [Fault(rule) for rule in (body if isinstance(body, list) else [body])]

    def clear(self) -> None:
        self.rules.clear()

    def match(self, operation: str, container: str | None, path: str) -> dict[str, Any] | None:
        for fault in self.rules:
            if fault.fires(operation, container, path):
                return fault.rule
        return None
