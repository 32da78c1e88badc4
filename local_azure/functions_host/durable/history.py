"""History events: what the engine appends, in the shape that the SDK's ``HistoryEvent`` reads.

Spec: azure-functions-durable 1.7.0, ``models/history`` and ``TaskOrchestrationExecutor``. Every event needs
``EventType, EventId, IsPlayed, Timestamp``; ExecutionStarted must be the second one and carry ``Version``.
"""

from enum import IntEnum
from typing import Any

from local_azure.functions_host.durable.json_text import dumps

Event = dict[str, Any]


class EventType(IntEnum):
    """The numbers of the SDK's HistoryEventType."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_FAILED = 2
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    CONTINUE_AS_NEW = 16
    GENERIC_EVENT = 17
    HISTORY_STATE = 18
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


_NEW = '{"IsPlayed":false,'
_PLAYED = '{"IsPlayed":true,'


def new_event(kind: EventType, timestamp: str, *, event_id: int = -1, **fields: Any) -> Event:
    return {"EventType": int(kind), "EventId": event_id, "Timestamp": timestamp, **fields}


def render(event: Event) -> str:
    """The event's JSON, marked as not yet played."""
    return _NEW + dumps(event)[1:]


def as_played(rendered: str) -> str:
    """The same event as the following turns see it."""
    return _PLAYED + rendered[len(_NEW) :] if rendered.startswith(_NEW) else rendered
