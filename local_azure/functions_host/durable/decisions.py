"""What follows from one orchestrator turn: takes the episode's events and the outcome, gives rows to write.

This is where event ids are made. The SDK numbers its tasks itself and does not send the numbers, so the engine counts
along (azure-functions-durable 1.7.0, ``DurableOrchestrationContext._add_to_open_tasks`` and ``RetryAbleTask``):

* every new action takes the next integer, depth first in list order, except waits for external events;
* a failed attempt of a with-retry call takes one (its timer, also after the last attempt), and that timer's firing
  takes one (the next attempt) while attempts remain. The SDK takes these numbers while it reads the event, so the
  events that do so come last in an episode (``arrange``): then the user's new actions are numbered first.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.catalog import DurableFunctions, missing_function
from local_azure.functions_host.durable.history import Event, EventType, new_event
from local_azure.functions_host.durable.instance import (
    Instance,
    Message,
    ReplayState,
    RetryGroup,
    Work,
    instance_id_problem,
)
from local_azure.functions_host.durable.json_text import NULL, dumps
from local_azure.functions_host.durable.outcome import Action, Outcome

ACTIVITY, SUB_ORCHESTRATION, TIMER, HTTP = "activity", "sub", "timer", "http"
HTTP_ACTIVITY_NAME = "BuiltIn::HttpActivity"

_FAILURES = (EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED)
_SUCCESSES = (EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED)


class ActionRefused(Exception):
    """The orchestrator asked for something that cannot be: the instance fails with this text."""


@dataclass(frozen=True, slots=True)
class ChildStart:
    """A sub-orchestration to start."""

    instance_id: str
    name: str
    input: str
    version: str | None
    task: int


@dataclass(frozen=True, slots=True)
class EntityRequest:
    """An operation for an entity; ``input`` is JSON text of JSON text, ``request_id`` names the reply."""

    entity_id: str
    operation: str
    input: str
    is_signal: bool
    request_id: str


@dataclass(slots=True)
class Decisions:
    """The consequences of a turn, not yet written."""

    events: list[Event] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    cancelled_timers: list[int] = field(default_factory=list)
    children: list[ChildStart] = field(default_factory=list)
    requests: list[EntityRequest] = field(default_factory=list)
    continue_with: str | None = None
    """The new input as a JSON token, when the orchestration continues as new."""


def arrange(messages: Iterable[Message], replay: ReplayState) -> list[Message]:
    """The messages in the order of the episode: those that take an id inside the SDK come last."""
    return sorted(messages, key=lambda message: _place(message.event, replay))


def _place(event: Event, replay: ReplayState) -> int:
    if event["EventType"] == EventType.EXECUTION_STARTED:
        return 0  # the SDK wants it as the second event, whatever was raised before the first turn
    return 2 if takes_internal_id(event, replay) else 1


def takes_internal_id(event: Event, replay: ReplayState) -> bool:
    """Whether the SDK takes an id itself while it reads the event: a failed attempt, or the timer before the next."""
    kind = event["EventType"]
    if kind in _FAILURES:
        return event["TaskScheduledId"] in replay.retries
    if kind == EventType.TIMER_FIRED:
        group = replay.retries.get(event["TimerId"])
        return group is not None and group.attempts < group.max_attempts
    return False


class Turn:
    """One turn's bookkeeping; ``decide`` advances the instance's replay state."""

    def __init__(
        self,
        instance: Instance,
        functions: DurableFunctions,
        now: datetime,
        is_live: Callable[[str], bool],
    ) -> None:
        self._instance = instance
        self._replay = instance.replay
        self._functions = functions
        self._now = now
        self._stamp = instant.to_text(now)
        self._is_live = is_live
        self._made = Decisions()

    def decide(self, events: list[Event], outcome: Outcome) -> Decisions:
        """The consequences of the outcome.

        Raises:
            ActionRefused: An action names what does not exist or is malformed; the instance fails.
        """
        is_over = outcome.is_done or outcome.error is not None
        self._forget_fired_timers(events)
        self._cancel_timers(outcome.leaves)
        try:
            for position in range(self._replay.actions_done, len(outcome.leaves)):
                self._take(position, outcome.leaves[position], is_over=is_over)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"The orchestrator returned a malformed action ({error!r})."
            raise ActionRefused(message) from error
        self._replay.actions_done = len(outcome.leaves)
        if not is_over:
            for event in events:
                self._settle_retry(event)
        return self._made

    def _forget_fired_timers(self, events: list[Event]) -> None:
        fired = {event["TimerId"] for event in events if event["EventType"] == EventType.TIMER_FIRED}
        for position, task in list(self._replay.timers.items()):
            if task in fired:
                del self._replay.timers[position]

    def _cancel_timers(self, leaves: list[Action]) -> None:
        for position, task in list(self._replay.timers.items()):
            if position < len(leaves) and leaves[position].get("isCanceled"):
                del self._replay.timers[position]
                self._made.cancelled_timers.append(task)

    def _next_id(self) -> int:
        task = self._replay.next_id
        self._replay.next_id += 1
        return task

    def _take(self, position: int, action: Action, *, is_over: bool) -> None:
        kind = action["actionType"]
        if kind == 6:  # a wait is keyed by the event's name, and takes no id
            return
        task = self._next_id()
        if kind in (0, 1):
            self._call_activity(task, _group(ACTIVITY, action), with_retry=kind == 1)
        elif kind in (2, 3):
            self._call_sub_orchestration(task, _group(SUB_ORCHESTRATION, action), with_retry=kind == 3)
        elif kind == 4:
            self._made.continue_with = dumps(action.get("input", NULL))
        elif kind == 5:
            self._create_timer(task, action, position, is_over=is_over)
        elif kind in (7, 9):
            self._send_to_entity(task, action, is_signal=kind == 9)
        elif kind == 8:
            self._call_http(task, action)
        else:
            message = f"The action type {kind} is not known to this engine."
            raise ActionRefused(message)

    def _call_activity(self, task: int, group: RetryGroup, *, with_retry: bool) -> None:
        name = self._functions.activity(group.name)
        if name is None:
            raise ActionRefused(missing_function("activity", group.name, self._functions.activities))
        self._event(EventType.TASK_SCHEDULED, task, Name=name, Input=group.input)
        self._work(ACTIVITY, task, name=name, text=group.input)
        if with_retry:
            self._replay.retries[task] = group

    def _call_sub_orchestration(self, task: int, group: RetryGroup, *, with_retry: bool) -> None:
        name = self._functions.orchestrator(group.name)
        if name is None:
            raise ActionRefused(missing_function("orchestrator", group.name, self._functions.orchestrators))
        child_id = group.instance_id or f"{self._instance.execution}:{task}"
        problem = instance_id_problem(group.instance_id) if group.instance_id else None
        if problem is None and (self._is_live(child_id) or any(child_id == c.instance_id for c in self._made.children)):
            problem = f"An instance with id '{child_id}' is already running."
        if problem is not None:
            raise ActionRefused(problem)
        token = dumps(group.input)
        self._event(EventType.SUB_ORCHESTRATION_CREATED, task, Name=name, InstanceId=child_id, Input=token)
        self._made.children.append(ChildStart(child_id, name, token, group.version, task))
        if with_retry:
            self._replay.retries[task] = group

    def _create_timer(self, task: int, action: Action, position: int, *, is_over: bool) -> None:
        due = instant.to_text(instant.from_text(action["fireAt"]))
        self._event(EventType.TIMER_CREATED, task, FireAt=due)
        if not is_over and not action.get("isCanceled"):
            self._replay.timers[position] = task
            self._work(TIMER, task, due=due)

    def _send_to_entity(self, task: int, action: Action, *, is_signal: bool) -> None:
        request = EntityRequest(
            entity_id=entity_id_of(action["instanceId"], self._functions),
            operation=action["operation"],
            input=dumps(action.get("input", NULL)),
            is_signal=is_signal,
            request_id=str(uuid.uuid4()),
        )
        content = {
            "op": request.operation,
            "id": request.request_id,
            "input": request.input,
            "signal": is_signal,
            "parent": self._instance.id,
        }
        self._event(
            EventType.EVENT_SENT, task, InstanceId=request.entity_id, Name=request.operation, Input=dumps(content)
        )
        self._made.requests.append(request)

    def _call_http(self, task: int, action: Action) -> None:
        text = dumps(action["httpRequest"])
        self._event(EventType.TASK_SCHEDULED, task, Name=HTTP_ACTIVITY_NAME, Input=text)
        self._work(HTTP, task, name=HTTP_ACTIVITY_NAME, text=text)

    def _settle_retry(self, event: Event) -> None:
        kind = event["EventType"]
        if kind in _SUCCESSES:
            self._replay.retries.pop(event["TaskScheduledId"], None)
        elif kind in _FAILURES:
            group = self._replay.retries.pop(event["TaskScheduledId"], None)
            if group is not None:
                self._start_retry_timer(group)
        elif kind == EventType.TIMER_FIRED:
            group = self._replay.retries.pop(event["TimerId"], None)
            if group is not None and group.attempts < group.max_attempts:
                group.attempts += 1
                self._start_attempt(group)

    def _start_retry_timer(self, group: RetryGroup) -> None:
        task = self._next_id()
        due = instant.to_text(self._now + timedelta(milliseconds=group.interval_ms))
        self._event(EventType.TIMER_CREATED, task, FireAt=due)
        self._work(TIMER, task, due=due)
        self._replay.retries[task] = group

    def _start_attempt(self, group: RetryGroup) -> None:
        start = self._call_activity if group.kind == ACTIVITY else self._call_sub_orchestration
        start(self._next_id(), group, with_retry=True)

    def _event(self, kind: EventType, task: int, **fields: Any) -> None:
        self._made.events.append(new_event(kind, self._stamp, event_id=task, **fields))

    def _work(self, kind: str, task: int, *, name: str = "", text: str | None = None, due: str = "") -> None:
        self._made.works.append(
            Work(0, self._instance.id, self._instance.execution, kind, task, name=name, input=text, due=due)
        )


def entity_id_of(text: str, functions: DurableFunctions) -> str:
    """The entity's id ``@name@key`` with the name in lower case.

    Raises:
        ActionRefused: The app has no such entity.
    """
    _, name, key = text.split("@", 2)
    if not key or not key.isprintable():
        raise ActionRefused("An entity's key is not empty and has no control characters.")
    if functions.entity(name) is None:
        raise ActionRefused(missing_function("entity", name, functions.entities))
    return f"@{name.lower()}@{key}"


def _group(kind: str, action: Action) -> RetryGroup:
    options = action.get("retryOptions") or {}
    for name in ("functionName", "input", "instanceId", "version"):
        if not isinstance(action.get(name), str | None) or (name == "functionName" and not action.get(name)):
            raise ActionRefused(f"The orchestrator's action has a {name} that is no text: {action.get(name)!r}")
    if not str(action.get("version") or "").isprintable():
        raise ActionRefused("A version has no control characters.")
    return RetryGroup(
        kind=kind,
        name=action["functionName"],
        input=action.get("input"),
        interval_ms=int(options.get("firstRetryIntervalInMilliseconds", 0)),
        max_attempts=int(options.get("maxNumberOfAttempts", 1)),
        instance_id=action.get("instanceId"),
        version=action.get("version"),
    )
