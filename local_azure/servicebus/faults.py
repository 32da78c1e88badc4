"""Misbehaviour on demand: what the emulator does wrong until told to stop.

Takes fault requests from the admin endpoint and answers the protocol code's questions. Kinds: `refuse-connections`,
`drop-connections` and `drop-links` (once, at the moment of the request), `delay` (every answer waits), `server-busy`
(attaches, messages and management requests are refused with com.microsoft:server-busy). A fault ends after its
duration or count, whichever comes first; without either it stays until it is deleted.
"""

from dataclasses import dataclass
from typing import Any

from local_azure.servicebus.clock import Clock
from local_azure.servicebus.frames import AmqpError

LASTING = ("refuse-connections", "delay", "server-busy")
AT_ONCE = ("drop-connections", "drop-links")


class FaultError(ValueError):
    """The fault request is not understood."""


@dataclass
class Fault:
    """One active fault."""

    kind: str
    ends_at_ms: int | None = None
    left: int | None = None
    delay_ms: int = 0


class Faults:
    """The active faults, one of each kind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: dict[str, Fault] = {}

    def add(self, request: dict[str, Any]) -> Fault:
        """Start a fault: {"kind", "duration_seconds"?, "count"?, "delay_ms"?}.

        Raises:
            FaultError: for another shape.
        """
        kind, seconds, count = request.get("kind"), request.get("duration_seconds"), request.get("count")
        if kind not in LASTING + AT_ONCE:
            raise FaultError(f"kind is one of {', '.join(LASTING + AT_ONCE)}")
        if not _positive(seconds) or not _positive(count) or not _positive(request.get("delay_ms")):
            raise FaultError("duration_seconds, count and delay_ms are positive numbers")
        if kind == "delay" and not request.get("delay_ms"):
            raise FaultError("delay needs delay_ms")
        ends = None if seconds is None else self._clock.now_ms() + int(seconds * 1000)
        fault = Fault(kind, ends, None if count is None else int(count), int(request.get("delay_ms") or 0))
        if kind in LASTING:
            self._active[kind] = fault
        return fault

    def clear(self) -> None:
        self._active.clear()

    def active(self) -> list[Fault]:
        return [fault for kind in list(self._active) if (fault := self._current(kind))]

    def refuses_connections(self) -> bool:
        return bool(self._active) and self._strike("refuse-connections") is not None

    def delay_seconds(self) -> float:
        if not self._active:
            return 0.0
        fault = self._strike("delay")
        return fault.delay_ms / 1000 if fault else 0.0

    def refuse_if_busy(self) -> None:
        """Nothing, unless the fault is on.

        Raises:
            AmqpError: com.microsoft:server-busy.
        """
        if self._active and self._strike("server-busy"):
            text = "The request was terminated because the namespace is being throttled. Please wait and try again."
            raise AmqpError("com.microsoft:server-busy", text)

    def _current(self, kind: str) -> Fault | None:
        fault = self._active.get(kind)
        if fault and fault.ends_at_ms is not None and fault.ends_at_ms <= self._clock.now_ms():
            del self._active[kind]
            return None
        return fault

    def _strike(self, kind: str) -> Fault | None:
        """The fault, counted once."""
        fault = self._current(kind)
        if fault and fault.left is not None:
            fault.left -= 1
            if fault.left <= 0:
                del self._active[kind]
        return fault


def _positive(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0)
