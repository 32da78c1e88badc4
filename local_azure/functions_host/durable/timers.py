"""Durable timers: takes timer rows, calls back when each is due. The row stays until the turn that saw it commits."""

import asyncio
import heapq
from collections.abc import Callable

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.instance import Work

_LONGEST_SLEEP_SECONDS = 0.25
"""A clock that jumps (a suspended machine, a test's clock) is noticed after this time."""
_SWEEP_FROM = 1024


class Timers:
    """A heap of due times, with one sleeping task."""

    def __init__(self, clock: instant.Clock, fire: Callable[[Work], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[tuple[str, int, Work]] = []
        self._changed = asyncio.Event()
        self._sweep_at = _SWEEP_FROM

    def add(self, timer: Work) -> None:
        if len(self._heap) >= self._sweep_at:
            self._sweep()
        heapq.heappush(self._heap, (timer.due, timer.number, timer))
        if self._heap[0][2] is timer:
            self._changed.set()

    def _sweep(self) -> None:
        """Forget cancelled timers, which would otherwise stay until they are due."""
        self._heap = [entry for entry in self._heap if not entry[2].is_cancelled]
        heapq.heapify(self._heap)
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._heap))

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            self._changed.clear()
            self._fire_due()
            seconds = self._seconds_to_next()
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                continue

    def _fire_due(self) -> None:
        now = instant.to_text(self._clock())
        while self._heap and (self._heap[0][2].is_cancelled or self._heap[0][0] <= now):
            timer = heapq.heappop(self._heap)[2]
            if not timer.is_cancelled:
                self._fire(timer)

    def _seconds_to_next(self) -> float | None:
        if not self._heap:
            return None
        until = (instant.from_text(self._heap[0][0]) - self._clock()).total_seconds()
        return min(max(until, 0.0005), _LONGEST_SLEEP_SECONDS)
