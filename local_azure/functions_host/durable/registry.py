"""The live instances: begins them, puts messages into their inboxes, and wakes them.

Every method returns the statements that make its change durable; the caller submits them, with its own, as one group.
"""

import uuid
from collections.abc import Callable

from local_azure.functions_host.durable.history import Event, EventType, new_event
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import Instance, Message, Parent
from local_azure.functions_host.durable.store import add_message, forget_history, put_instance
from local_azure.functions_host.durable.writer import Statement


class Registry:
    """Instances that are pending, running or suspended, by id."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._live: dict[str, Instance] = {}
        self.wake: Callable[[Instance], None] = lambda _: None

    def get(self, instance_id: str) -> Instance | None:
        return self._live.get(instance_id)

    def is_live(self, instance_id: str) -> bool:
        return instance_id in self._live

    def all(self) -> list[Instance]:
        return list(self._live.values())

    def adopt(self, instance: Instance) -> None:
        """Take in an instance that is live in the store."""
        self._live[instance.id] = instance

    def release(self, instance: Instance) -> None:
        """Forget an instance that is over."""
        self._live.pop(instance.id, None)

    def begin(
        self, name: str, instance_id: str, token: str, *, version: str | None = None, parent: Parent | None = None
    ) -> list[Statement]:
        """Start an instance; one that is over and has the same id is replaced."""
        now = self._hub.now()
        instance = Instance(
            id=instance_id,
            name=name,
            input=token,
            execution=uuid.uuid4().hex,
            created=now,
            updated=now,
            version=version or self._hub.default_version,
            parent=parent,
        )
        self._live[instance_id] = instance
        return [
            forget_history(instance_id),
            ("DELETE FROM inbox WHERE id = ?", [(instance_id,)]),
            put_instance(instance),
            self.post(instance, started_event(instance, now)),
        ]

    def deliver(self, instance_id: str, execution: str | None, event: Event) -> list[Statement]:
        """Post to an instance; what comes too late for this execution is dropped."""
        instance = self._live.get(instance_id)
        if instance is None or (execution is not None and instance.execution != execution):
            return []
        return [self.post(instance, event)]

    def post(self, instance: Instance, event: Event) -> Statement:
        message = Message(event, inbox_number=self._hub.store.next_number())
        instance.inbox.append(message)
        self.wake(instance)
        return add_message(instance.id, message)


def started_event(instance: Instance, now: str) -> Event:
    """ExecutionStarted; the SDK reads ``Version`` without a default."""
    parent = instance.parent
    return new_event(
        EventType.EXECUTION_STARTED,
        now,
        Name=instance.name,
        Input=instance.input,
        Version=instance.version,
        OrchestrationInstance={"InstanceId": instance.id, "ExecutionId": instance.execution},
        ParentInstance=None
        if parent is None
        else {
            "OrchestrationInstance": {"InstanceId": parent.instance_id, "ExecutionId": parent.execution},
            "TaskScheduleId": parent.task,
        },
    )
