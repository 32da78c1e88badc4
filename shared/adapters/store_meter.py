"""How the store copes, as this process sees it: which share of its calls is refused for load.

Sits below the SDK's own retries, which hide most refusals from everybody else (azure-cosmos repeats a 429 up to nine
times).
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

_THROTTLED = 429
_WINDOW_SECONDS = 5
_ENOUGH_CALLS = 20  # fewer than that say nothing


class StoreMeter:
    """``pipeline.admission.StoreLoad``, fed by the client's response hook."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seconds: deque[list[int]] = deque()  # each: the second, calls, those that were throttled

    def note(self, response: Any) -> None:
        """One answer of the store, as azure-core's pipeline hands it over."""
        self.count(response.http_response.status_code)

    def count(self, status: int) -> None:
        """One answer of the store."""
        second = int(self._monotonic())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
            while self._seconds[0][0] <= second - _WINDOW_SECONDS:
                self._seconds.popleft()
        self._seconds[-1][1] += 1
        self._seconds[-1][2] += status == _THROTTLED

    def throttled_share(self) -> float:
        since = int(self._monotonic()) - _WINDOW_SECONDS
        recent = [each for each in self._seconds if each[0] > since]
        calls = sum(each[1] for each in recent)
        return sum(each[2] for each in recent) / calls if calls >= _ENOUGH_CALLS else 0.0
