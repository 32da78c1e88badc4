"""How an execution ends: completed, failed, terminated or continued as new; gives the statements for it.

Timers and messages of the execution go; activities that were already owed still run, as in Azure, and their results
are dropped because the execution id no longer matches.
"""

import uuid
from collections import Counter

from local_azure.functions_host.durable.history import Event, EventType, as_played, new_event, render
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import COMPLETED, TERMINATED, Instance, Message, ReplayState
from local_azure.functions_host.durable.json_text import dumps, loads
from local_azure.functions_host.durable.registry import Registry, started_event
from local_azure.functions_host.durable.store import (
    add_history,
    add_message,
    forget_history,
    forget_pending,
    put_instance,
    update_instance,
)
from local_azure.functions_host.durable.writer import Statement


class Endings:
    """Ends executions."""

    def __init__(self, hub: Hub, registry: Registry) -> None:
        self._hub = hub
        self._registry = registry

    def end(self, instance: Instance, status: str, output: str, *, reason: str = "") -> list[Statement]:
        """End the instance; its parent, if it still waits, is told in the same transaction."""
        now = self._hub.now()
        instance.status, instance.output, instance.updated = status, output, now
        self._registry.release(instance)
        _drop_pending(instance)
        kind = EventType.EXECUTION_TERMINATED if status == TERMINATED else EventType.EXECUTION_COMPLETED
        ended = new_event(kind, now, OrchestrationStatus=status, Result=output)
        if status == TERMINATED:
            ended["Input"] = output
        return [
            *forget_pending(instance.id),
            append_history(instance, [ended]),
            update_instance(instance),
            *self._tell_parent(instance, reason, now),
        ]

    def _tell_parent(self, instance: Instance, reason: str, now: str) -> list[Statement]:
        parent = instance.parent
        if parent is None:
            return []
        if instance.status == COMPLETED:
            event = new_event(
                EventType.SUB_ORCHESTRATION_COMPLETED, now, TaskScheduledId=parent.task, Result=instance.output
            )
        else:
            event = new_event(
                EventType.SUB_ORCHESTRATION_FAILED,
                now,
                TaskScheduledId=parent.task,
                Reason=reason,
                Details=f"Sub-orchestration '{instance.id}' ended as {instance.status}.",
            )
        return self._registry.deliver(parent.instance_id, parent.execution, event)

    def continue_as_new(self, instance: Instance, token: str, waits: Counter[str]) -> list[Statement]:
        """Restart the instance with a new input and an empty history; events that no wait took are kept."""
        now = self._hub.now()
        kept = _unconsumed_events(instance, waits)
        _drop_pending(instance)
        instance.execution, instance.input, instance.updated = uuid.uuid4().hex, token, now
        instance.replay, instance.history, instance.history_length = ReplayState(), [], 0
        instance.inbox = [
            Message(event, inbox_number=self._hub.store.next_number())
            for event in (started_event(instance, now), *kept)
        ]
        return [
            *forget_pending(instance.id),
            forget_history(instance.id),
            put_instance(instance),
            *(add_message(instance.id, message) for message in instance.inbox),
        ]


def append_history(instance: Instance, events: list[Event]) -> Statement:
    """Append to the instance's history, and the statement that stores the same."""
    rendered = [as_played(render(event)) for event in events]
    first = instance.history_length
    instance.history_length += len(rendered)
    if instance.history is not None:
        instance.history.extend(rendered)
    return add_history(instance.id, first, rendered)


def _drop_pending(instance: Instance) -> None:
    instance.inbox = []
    for timer in instance.timers.values():
        timer.is_cancelled = True
    instance.timers = {}


def _unconsumed_events(instance: Instance, waits: Counter[str]) -> list[Event]:
    """External events beyond the number of waits for their name, oldest first, then what is still in the inbox."""
    events = [loads(text) for text in instance.history or []]
    replies = {loads(event["Input"])["id"] for event in events if event["EventType"] == EventType.EVENT_SENT}
    waiting = waits.copy()
    kept = []
    for event in events + [message.event for message in instance.inbox]:
        if event["EventType"] != EventType.EVENT_RAISED or event["Name"] in replies:
            continue
        if waiting[event["Name"]] > 0:
            waiting[event["Name"]] -= 1
        else:
            kept.append({key: value for key, value in event.items() if key != "IsPlayed"})
    return kept


def terminated_output(reason: str | None) -> str:
    """The output of a terminated instance: the reason, as JSON."""
    return dumps(reason or "")
