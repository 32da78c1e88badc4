"""The one clock of the emulator: milliseconds since the epoch, which tests (and the admin endpoint) can push ahead."""

import time
from collections.abc import Callable


class Clock:
    """Wall-clock time plus an offset that only grows."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset_ms = 0
        self._listeners: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        return int(self._source() * 1000) + self._offset_ms

    def on_advance(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every jump, so that due work is found at once."""
        self._listeners.append(listener)

    def advance(self, seconds: float) -> None:
        """Jump ahead; locks, schedules and time-to-live that end in between take effect."""
        if seconds < 0:
            raise ValueError("the clock only goes forward")
        self._offset_ms += int(seconds * 1000)
        for listener in self._listeners:
            listener()
