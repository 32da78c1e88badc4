"""Rewinding a failed instance: takes its history, gives the point to go back to and what to do again from there.

The last turn in which a failure reached the orchestrator (or simply the last turn, when it failed by itself) and all
turns after it are taken back. What they had received is handed out again, except failures: those tasks run again.
The numbers that a replay needs are made anew by replaying the turns that stay. (The extension rewrites failures in
place instead, and repeats every one; how it treats exhausted retries is unverified.)
"""

from dataclasses import dataclass, field
from typing import Any

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.decisions import ActionRefused, Turn, takes_internal_id
from local_azure.functions_host.durable.history import Event, EventType, render
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import Instance, ReplayState
from local_azure.functions_host.durable.json_text import loads
from local_azure.functions_host.durable.turns import Turns

SCHEDULING = (
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
    EventType.EVENT_SENT,
)
_FAILURES = (EventType.TASK_FAILED, EventType.SUB_ORCHESTRATION_FAILED)
_SUCCESSES = (EventType.TASK_COMPLETED, EventType.SUB_ORCHESTRATION_COMPLETED, EventType.TIMER_FIRED)
_MARKS = (EventType.ORCHESTRATOR_COMPLETED, EventType.EXECUTION_COMPLETED, EventType.EXECUTION_TERMINATED)


@dataclass(slots=True)
class Episode:
    """One turn's part of the history."""

    first_row: int
    received: list[Event] = field(default_factory=list)
    """OrchestratorStarted, then the messages."""
    scheduled: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RewindPlan:
    """Where to go back to, and what is open there."""

    rows_kept: int
    replay: ReplayState
    repost: list[Event]
    pending: list[Event]
    """Scheduling events of tasks that must run again."""


async def plan_rewind(instance: Instance, rows: list[str], hub: Hub, turns: Turns) -> RewindPlan:
    """The way back for a failed instance whose history is ``rows``."""
    episodes = _episodes(rows)
    replays, failures = await _replay(instance, rows, episodes, hub, turns)
    point = max(failures, default=len(replays) - 1)
    replay = ReplayState.from_text(replays[point])
    kept = episodes[:point]
    unsent = {_request_id(event) for episode in episodes[point:] for event in episode.scheduled}
    again = [
        _bare(event)
        for episode in episodes[point:]
        for event in episode.received[1:]
        if _is_still_wanted(event, replay, unsent)
    ]
    done = {_completed(event) for episode in kept for event in episode.received} | {
        _completed(event) for event in again
    }
    pending = [event for episode in kept for event in episode.scheduled if _is_open(event, done, replay)]
    return RewindPlan(episodes[point].first_row, replay, again, pending)


async def _replay(
    instance: Instance, rows: list[str], episodes: list[Episode], hub: Hub, turns: Turns
) -> tuple[list[str], list[int]]:
    """The replay state before each episode, and the episodes to which a failure goes back."""
    scratch = Instance(
        **{name: getattr(instance, name) for name in ("id", "name", "input", "execution", "created", "updated")},
        version=instance.version,
        parent=instance.parent,
    )
    before: list[str] = []
    failures: list[int] = []
    failed_in: dict[int, int] = {}
    for index, episode in enumerate(episodes):
        before.append(scratch.replay.to_text())
        for event in episode.received:
            group = scratch.replay.retries.get(_task_of(event))
            if takes_internal_id(event, scratch.replay):
                failed_in[id(group)] = index
            elif event["EventType"] in _FAILURES:
                failures.append(index)
            elif event["EventType"] == EventType.TIMER_FIRED and group is not None:
                failures.append(failed_in[id(group)])
        scratch.history, scratch.history_length = rows[: episode.first_row], episode.first_row
        outcome = await turns.replayed(scratch, [render(_bare(event)) for event in episode.received])
        now = instant.from_text(episode.received[0]["Timestamp"])
        try:
            Turn(scratch, hub.functions, now, lambda _: False).decide(episode.received, outcome)
        except ActionRefused:
            break
    return before, failures


def _episodes(rows: list[str]) -> list[Episode]:
    episodes: list[Episode] = []
    for number, row in enumerate(rows):
        event = loads(row)
        if event["EventType"] == EventType.ORCHESTRATOR_STARTED:
            episodes.append(Episode(number, received=[event]))
        elif event["EventType"] in SCHEDULING:
            episodes[-1].scheduled.append(event)
        elif event["EventType"] not in _MARKS:
            episodes[-1].received.append(event)
    return episodes


def _bare(event: Event) -> Event:
    return {key: value for key, value in event.items() if key != "IsPlayed"}


def _task_of(event: Event) -> int:
    return event.get("TaskScheduledId", event.get("TimerId", -1))


def _completed(event: Event) -> Any:
    """What the event completes: a task id, an entity request's id, or nothing."""
    if event["EventType"] == EventType.EVENT_RAISED:
        return event["Name"]
    return _task_of(event)


def _request_id(event: Event) -> str | None:
    return loads(event["Input"])["id"] if event["EventType"] == EventType.EVENT_SENT else None


def _is_still_wanted(event: Event, replay: ReplayState, unsent: set[str | None]) -> bool:
    """Whether an event of a turn taken back is handed out again: not the answers to what was not asked yet."""
    kind = event["EventType"]
    if kind in _SUCCESSES:
        return _task_of(event) < replay.next_id
    if kind == EventType.EVENT_RAISED:
        return event["Name"] not in unsent
    return kind == EventType.EXECUTION_STARTED


def _is_open(event: Event, done: set[Any], replay: ReplayState) -> bool:
    if event["EventType"] == EventType.EVENT_SENT:
        return not loads(event["Input"])["signal"] and _request_id(event) not in done
    if event["EventType"] == EventType.TIMER_CREATED:
        armed = {*replay.timers.values(), *replay.retries}
        return event["EventId"] in armed and event["EventId"] not in done
    return event["EventId"] not in done
