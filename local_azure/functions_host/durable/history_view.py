"""The history as a status query shows it: rendered events in, one entry per thing that happened out.

As in the extension: episode marks are left out, and a completed task, timer or sub-orchestration is one entry with
the time it was scheduled. Outputs are shown only on request.
"""

from typing import Any

from local_azure.functions_host.durable.history import Event, EventType
from local_azure.functions_host.durable.json_text import loads

_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_FAILED: "ExecutionFailed",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.GENERIC_EVENT: "GenericEvent",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}
_SCHEDULING = {EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED, EventType.TIMER_CREATED}
_COMPLETING = {
    EventType.TASK_COMPLETED: "TaskScheduledId",
    EventType.TASK_FAILED: "TaskScheduledId",
    EventType.SUB_ORCHESTRATION_COMPLETED: "TaskScheduledId",
    EventType.SUB_ORCHESTRATION_FAILED: "TaskScheduledId",
    EventType.TIMER_FIRED: "TimerId",
}


def history_view(rendered: list[str], *, show_output: bool) -> list[dict[str, Any]]:
    """The entries in order; what is scheduled and not completed stands by itself."""
    events = [loads(text) for text in rendered]
    scheduled = {event["EventId"]: event for event in events if event["EventType"] in _SCHEDULING}
    completed = {event[_COMPLETING[event["EventType"]]] for event in events if event["EventType"] in _COMPLETING}
    shown = []
    for event in events:
        kind = event["EventType"]
        if kind not in _NAMES or (kind in _SCHEDULING and event["EventId"] in completed):
            continue
        entry = _entry(event, show_output=show_output)
        if kind in _COMPLETING and (start := scheduled.get(event[_COMPLETING[kind]])) is not None:
            entry["ScheduledTime"] = start["Timestamp"]
            if "Name" in start:
                entry["FunctionName"] = start["Name"]
        shown.append(entry)
    return shown


def _entry(event: Event, *, show_output: bool) -> dict[str, Any]:
    kind = event["EventType"]
    entry: dict[str, Any] = {"EventType": _NAMES[EventType(kind)], "Timestamp": event["Timestamp"]}
    for field in ("Name", "FireAt", "Reason", "Details", "OrchestrationStatus", "InstanceId"):
        if event.get(field) is not None:
            entry[field] = event[field]
    if kind == EventType.EXECUTION_STARTED or kind in _SCHEDULING:
        entry["FunctionName"] = entry.pop("Name", None)
    if show_output and event.get("Result") is not None:
        entry["Result"] = _parsed(event["Result"])
    if show_output and event.get("Input") is not None:
        entry["Input"] = _parsed(event["Input"])
    return entry


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text
