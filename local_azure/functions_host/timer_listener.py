"""Timer triggers: fire when due, once, with a memory that survives restarts.

Takes a schedule and a coroutine that runs the function, gives ``TimerRequest`` documents. The last and next times are
kept in ``timers/<function>.json``; after a restart a missed run fires once with ``IsPastDue``. A run never overlaps the
next; retries follow ``@app.retry``.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.function_table import RetryPolicy
from local_azure.functions_host.timer_schedule import TimerSchedule

_LOG = logging.getLogger("host.timers")

RunTimer = Callable[[str, tuple[int, int]], Awaitable[None]]
_LONGEST_SLEEP_SECONDS = 30.0  # look at the clock now and then: it may be set, or the machine may have slept
_MONITOR_LEAST = timedelta(minutes=1)  # Azure ignores useMonitor for schedules that fire more often


@dataclass
class TimerMemory:
    """When the timer ran last and is due next; stored on every run."""

    path: Path
    last: datetime | None = None
    due: datetime | None = None

    @classmethod
    def load(cls, path: Path) -> "TimerMemory":
        if not path.exists():
            return cls(path)
        stored = json.loads(path.read_text())
        last, due = stored.get("last"), stored.get("next")
        return cls(path, datetime.fromisoformat(last) if last else None, datetime.fromisoformat(due) if due else None)

    def store(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        document = {"last": self.last and self.last.isoformat(), "next": self.due and self.due.isoformat()}
        fresh.write_text(json.dumps(document))
        fresh.replace(self.path)


class TimerListener:
    """The timer of one function."""

    claim = ""

    def __init__(
        self,
        name: str,
        schedule: TimerSchedule,
        memory: TimerMemory,
        run_timer: RunTimer,
        *,
        run_on_startup: bool = False,
        use_monitor: bool = True,
        retry: RetryPolicy | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._schedule = schedule
        self._memory = memory
        self._run_timer = run_timer
        self._run_on_startup = run_on_startup
        self._use_monitor = use_monitor
        self._retry = retry
        self._clock = clock
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"timer {self._name}")

    async def stop(self, drain_seconds: float) -> None:
        self._stopping.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=drain_seconds)
            for task in late:
                task.cancel()

    async def _run(self) -> None:
        try:
            await self._start_up()
            while await self._sleep_until_due():
                due = self._memory.due or self._clock()
                await self._fire(is_past_due=self._clock() - due > timedelta(seconds=5))
        except asyncio.CancelledError:
            raise
        except Exception:
            _LOG.exception("%s: the timer stopped", self._name)
            raise

    async def _start_up(self) -> None:
        now = self._clock()
        missed = self._memory.due is not None and self._memory.due < now
        following = self._schedule.next_after(now)
        monitors = self._use_monitor and self._schedule.next_after(following) - following >= _MONITOR_LEAST
        self._memory.due = following
        if self._run_on_startup or (missed and monitors):
            await self._fire(is_past_due=missed and monitors)

    async def _sleep_until_due(self) -> bool:
        """True when due, False when the host stops."""
        while not self._stopping.is_set():
            due = self._memory.due or self._schedule.next_after(self._clock())
            self._memory.due = due
            left = (due - self._clock()).total_seconds()
            if left <= 0:
                return True
            try:
                await asyncio.wait_for(self._stopping.wait(), min(left, _LONGEST_SLEEP_SECONDS))
            except TimeoutError:
                continue
        return False

    async def _fire(self, *, is_past_due: bool) -> None:
        now = self._clock()
        following = self._schedule.next_after(now)
        request = self.request(is_past_due=is_past_due, following=following)
        await self._run_with_retry(request)
        self._memory.last = now
        self._memory.due = max(following, self._schedule.next_after(self._clock() - timedelta(milliseconds=1)))
        self._memory.store()

    async def _run_with_retry(self, request: str) -> None:
        retry = 0
        while True:
            try:
                await self._run_timer(request, (retry, self._retry.max_retry_count if self._retry else 0))
            except InvocationFailed:
                retry += 1
                if self._retry is None or not self._retry.allows(retry) or self._stopping.is_set():
                    return
                await asyncio.sleep(self._retry.wait_seconds(retry))
            else:
                return

    def request(self, *, is_past_due: bool = False, following: datetime | None = None) -> str:
        """The trigger's JSON document."""
        due = following or self._schedule.next_after(self._clock())
        last = self._memory.last or datetime.min.replace(tzinfo=UTC)
        return json.dumps(
            {
                "Schedule": {"AdjustForDST": self._schedule.adjusts_for_daylight_saving},
                "ScheduleStatus": {
                    "Last": last.isoformat(),
                    "Next": due.isoformat(),
                    "LastUpdated": last.isoformat(),
                },
                "IsPastDue": is_past_due,
            }
        )

    def describe(self) -> dict[str, Any]:
        return {
            "function": self._name,
            "last": self._memory.last and self._memory.last.isoformat(),
            "next": self._memory.due and self._memory.due.isoformat(),
        }
