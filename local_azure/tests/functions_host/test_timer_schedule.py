"""NCRONTAB expressions and time spans, and what a timer does after a pause."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from local_azure.functions_host.errors import InvocationFailed, SettingsInvalid
from local_azure.functions_host.function_table import RetryPolicy
from local_azure.functions_host.timer_listener import TimerListener, TimerMemory
from local_azure.functions_host.timer_schedule import TimerSchedule

NOON = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("0 */5 * * * *", "2026-03-02T12:05:00"),
        ("*/10 * * * * *", "2026-03-02T12:00:10"),
        ("30 0 9 * * 1-5", "2026-03-03T09:00:30"),
        ("0 0 9 * * Sun", "2026-03-08T09:00:00"),
        ("0 30 9 * Jan Mon", "2027-01-04T09:30:00"),
        ("15 14 * * *", "2026-03-02T14:15:00"),
        ("00:10:00", "2026-03-02T12:10:00"),
        ("1.00:00:00", "2026-03-03T12:00:00"),
    ],
)
def test_next_due_instant(expression, due):
    assert TimerSchedule(expression).next_after(NOON) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_a_time_zone_moves_the_wall_clock():
    schedule = TimerSchedule("0 0 9 * * *", "America/New_York")

    assert schedule.next_after(NOON) == datetime(2026, 3, 2, 14, tzinfo=UTC)
    assert schedule.next_after(NOON + timedelta(days=10)) == datetime(2026, 3, 12, 13, tzinfo=UTC), "summer time"


@pytest.mark.parametrize("expression", ["", "every day", "61 * * * * *", "00:00:00", "* * *", "1 2 3 4 5 6 7"])
def test_what_is_neither_is_refused(expression):
    with pytest.raises(SettingsInvalid, match="timer schedule"):
        TimerSchedule(expression)


class _Runs:
    """Stands for the function: notes the requests, fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.requests: list[dict] = []
        self.retries: list[int] = []
        self.failures = failures
        self.done = asyncio.Event()
        self.third = asyncio.Event()

    async def __call__(self, request: str, retry: tuple[int, int]) -> None:
        self.requests.append(json.loads(request))
        self.retries.append(retry[0])
        if len(self.retries) == 3:
            self.third.set()
        if self.failures:
            self.failures -= 1
            raise InvocationFailed("not yet")
        self.done.set()


async def test_a_missed_run_fires_once_as_past_due_and_is_remembered(tmp_path):
    memory = TimerMemory(tmp_path / "timers" / "f.json", last=NOON - timedelta(days=3), due=NOON - timedelta(days=2))
    runs = _Runs()
    timer = TimerListener("f", TimerSchedule("0 0 9 * * *"), memory, runs, clock=lambda: NOON)

    timer.start()
    await asyncio.wait_for(runs.done.wait(), 5)
    await timer.stop(1)

    [request] = runs.requests
    assert request["IsPastDue"] is True
    assert request["ScheduleStatus"]["Last"] == "2026-02-27T12:00:00+00:00"
    again = TimerMemory.load(tmp_path / "timers" / "f.json")
    assert again.last == NOON
    assert again.due == datetime(2026, 3, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(("expression", "use_monitor"), [("0 0 9 * * *", False), ("*/30 * * * * *", True)])
async def test_without_monitor_or_with_a_short_period_a_missed_run_is_skipped(tmp_path, expression, use_monitor):
    memory = TimerMemory(tmp_path / "f.json", due=NOON - timedelta(days=2))
    runs = _Runs()
    timer = TimerListener("f", TimerSchedule(expression), memory, runs, use_monitor=use_monitor, clock=lambda: NOON)

    timer.start()
    await asyncio.sleep(0)
    await timer.stop(1)

    assert runs.requests == []


async def test_retries_are_counted_and_end_with_the_policy(tmp_path):
    policy = RetryPolicy("fixed_delay", 2, 0.0, 0.0, 0.0)
    enough, too_few = _Runs(failures=2), _Runs(failures=9)
    for runs in (enough, too_few):
        memory = TimerMemory(tmp_path / "f.json")
        timer = TimerListener(
            "f", TimerSchedule("0 0 9 * * *"), memory, runs, run_on_startup=True, retry=policy, clock=lambda: NOON
        )
        timer.start()
        await asyncio.wait_for(runs.third.wait(), 5)
        await timer.stop(1)

    assert enough.retries == [0, 1, 2]
    assert too_few.retries == [0, 1, 2]


def test_exponential_back_off_has_a_floor_and_a_ceiling():
    policy = RetryPolicy("exponential_backoff", -1, 0.0, 2.0, 10.0)

    assert [policy.wait_seconds(retry) for retry in (1, 2, 3, 4, 60)] == [2.0, 4.0, 8.0, 10.0, 10.0]
    assert policy.allows(10_000)
