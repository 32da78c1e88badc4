"""Retry orchestrations without Durable Functions: what functions/orchestrations.py does, one step at a time.

An instance waits for its time, puts the attempt on the bus, waits to hear of it. Instances survive crashes, as the
history of a durable orchestration does.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.pipeline import retry
from shared.pipeline.services import Services

PATIENCE = timedelta(minutes=10)


@dataclass
class Instance:
    planned: dict[str, Any]
    hears_until: datetime | None = None
    heard: dict[str, dict[str, Any]] = field(default_factory=dict)


class FakeOrchestrations:
    def __init__(self) -> None:
        self.alive: dict[str, Instance] = {}
        self.started: list[str] = []

    async def start(self, name: str, instance_id: str, argument: dict[str, object]) -> bool:
        assert name == retry.RETRY_ORCHESTRATION
        if instance_id in self.alive:
            return False
        self.alive[instance_id] = Instance(dict(argument))
        self.started.append(instance_id)
        return True

    async def raise_event(self, instance_id: str, event: str, argument: dict[str, object]) -> bool:
        if instance_id not in self.alive:
            return False
        self.alive[instance_id].heard[event] = dict(argument)
        return True

    def next_due(self) -> datetime | None:
        """When something happens next, if nothing is heard."""
        return min((_due(instance) for instance in self.alive.values()), default=None)

    async def run_due(self, now: datetime, services: Services) -> None:
        """Everything that is due or was heard has happened."""
        for instance_id, instance in list(self.alive.items()):
            event = instance.heard.pop(retry.attempt_event(instance.planned["attempt"]), None)
            if instance.hears_until and event:
                self._listen(instance_id, instance, event)
            elif instance.hears_until is None and _due(instance) <= now:
                await retry.requeue_delivery(instance.planned, services)
                instance.hears_until = now + PATIENCE
            elif instance.hears_until and instance.hears_until <= now:
                del self.alive[instance_id]

    def _listen(self, instance_id: str, instance: Instance, event: dict[str, Any]) -> None:
        if event["status"] != "retrying":
            del self.alive[instance_id]
            return
        instance.planned |= {"attempt": instance.planned["attempt"] + 1, "dueAt": event["dueAt"]}
        instance.hears_until = None


def _due(instance: Instance) -> datetime:
    return instance.hears_until or datetime.fromisoformat(instance.planned["dueAt"])
