"""The orchestrators, driven by hand: what they ask for, in order, and what they make of the answers."""

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions import orchestrations
from shared.pipeline.services import SUBMITTED

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PLANNED = {
    "tenantId": "shop", "partitionKey": "shop:beef", "trackingId": "01M86PTPG0FM4ZR32P5GKMSV2T", "channel": "email",
    "lane": "high", "attempt": 2, "dueAt": (NOW + timedelta(seconds=1)).isoformat(),
}  # fmt: skip


@dataclass(eq=False)
class Task:
    kind: str
    about: Any
    result: Any = None
    parts: list["Task"] = field(default_factory=list)
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Context:
    """A DurableOrchestrationContext of which time stands still."""

    def __init__(self, argument: Any) -> None:
        self._argument = argument
        self.current_utc_datetime = NOW
        self.tasks: list[Task] = []

    def get_input(self) -> Any:
        return self._argument

    def _task(self, kind: str, about: Any, parts: list[Task] | None = None) -> Task:
        self.tasks.append(Task(kind, about, parts=parts or []))
        return self.tasks[-1]

    def create_timer(self, fire_at: datetime) -> Task:
        return self._task("timer", fire_at)

    def wait_for_external_event(self, name: str) -> Task:
        return self._task("event", name)

    def call_activity(self, name: str, argument: Any) -> Task:
        return self._task("activity", (name, argument))

    def task_all(self, parts: list[Task]) -> Task:
        return self._task("all", None, parts)

    def task_any(self, parts: list[Task]) -> Task:
        return self._task("any", None, parts)


def _start(builder: Any, argument: Any) -> tuple[Generator[Any, Any, Any], Context]:
    context = Context(argument)
    return builder._function.get_user_function().orchestrator_function(context), context


def _end(orchestration: Generator[Any, Any, Any], answer: Any) -> Any:
    with pytest.raises(StopIteration) as ended:
        orchestration.send(answer)
    return ended.value.value


def test_waiting_ends_when_every_channel_has_its_outcome() -> None:
    orchestration, _ = _start(orchestrations.await_outcome, {"channels": ["email", "sms"], "waitSeconds": 10.0})

    asked = next(orchestration)
    outcomes, timer = asked.parts

    assert [part.about for part in outcomes.parts] == ["outcome-email", "outcome-sms"]
    assert timer.about == NOW + timedelta(seconds=10)
    assert _end(orchestration, outcomes) == "settled"
    assert timer.cancelled


def test_waiting_ends_when_its_time_is_up() -> None:
    orchestration, _ = _start(orchestrations.await_outcome, {"channels": ["email"], "waitSeconds": 10.0})

    _, timer = next(orchestration).parts

    assert _end(orchestration, timer) == "pending"


def _to_the_attempt(orchestration: Generator[Any, Any, Any], first: Task) -> Task:
    """Past the timer and the activity: the task that hears of the attempt or loses patience."""
    assert first.kind == "timer"
    activity = orchestration.send(None)
    assert activity.about[0] == "requeue_delivery"
    return orchestration.send("queued")


def test_a_retry_waits_for_its_time_puts_the_attempt_on_the_bus_and_hears_of_it() -> None:
    orchestration, context = _start(orchestrations.retry_delivery, PLANNED)

    first = next(orchestration)
    heard, patience = _to_the_attempt(orchestration, first).parts

    assert first.about == NOW + timedelta(seconds=1)
    assert ("requeue_delivery", PLANNED) in [task.about for task in context.tasks if task.kind == "activity"]
    assert (heard.about, patience.about) == ("attempt-2", NOW + timedelta(minutes=10))
    heard.result = {"status": "sent", "dueAt": NOW.isoformat()}
    assert _end(orchestration, heard) == "sent"
    assert patience.cancelled


@pytest.mark.parametrize("encoded", [True, False])
def test_a_retry_that_fails_for_now_goes_round_again_with_the_next_number(encoded: bool) -> None:
    orchestration, _ = _start(orchestrations.retry_delivery, PLANNED)
    heard, _patience = _to_the_attempt(orchestration, next(orchestration)).parts
    told = {"status": "retrying", "dueAt": (NOW + timedelta(seconds=9)).isoformat()}
    heard.result = json.dumps(told) if encoded else told

    again = orchestration.send(heard)
    heard, _patience = _to_the_attempt(orchestration, again).parts

    assert again.about == NOW + timedelta(seconds=9)
    assert heard.about == "attempt-3"


@pytest.mark.parametrize("status", ["failed", "delivered", "in_doubt", "expired"])
def test_any_other_end_is_the_end(status: str) -> None:
    orchestration, _ = _start(orchestrations.retry_delivery, PLANNED)
    heard, _patience = _to_the_attempt(orchestration, next(orchestration)).parts
    heard.result = {"status": status, "dueAt": NOW.isoformat()}

    assert _end(orchestration, heard) == status


def test_an_attempt_nobody_hears_of_is_left_to_the_sweeper() -> None:
    orchestration, _ = _start(orchestrations.retry_delivery, PLANNED)
    _heard, patience = _to_the_attempt(orchestration, next(orchestration)).parts

    assert _end(orchestration, patience) == "left_to_sweeper"


def test_replaying_asks_for_the_same_things() -> None:
    histories = []
    for _ in range(2):
        orchestration, context = _start(orchestrations.retry_delivery, PLANNED)
        heard, _patience = _to_the_attempt(orchestration, next(orchestration)).parts
        heard.result = {"status": "retrying", "dueAt": NOW.isoformat()}
        orchestration.send(heard)
        histories.append([(task.kind, task.about) for task in context.tasks])

    assert histories[0] == histories[1]


async def test_the_activity_puts_the_attempt_on_the_bus(world: Any) -> None:
    await orchestrations.requeue_delivery._function.get_user_function()(dict(PLANNED))

    assert len(world.publisher.published[SUBMITTED]) == 1
