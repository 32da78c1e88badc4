"""Carries out a rewind: takes a failed instance's plan, makes the instance live again in one transaction."""

from local_azure.functions_host.durable.activities import Activities
from local_azure.functions_host.durable.decisions import (
    ACTIVITY,
    HTTP,
    HTTP_ACTIVITY_NAME,
    TIMER,
    EntityRequest,
)
from local_azure.functions_host.durable.entities import Entities
from local_azure.functions_host.durable.history import Event, EventType, new_event
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import COMPLETED, FAILED, RUNNING, Instance, Parent, Work
from local_azure.functions_host.durable.json_text import loads
from local_azure.functions_host.durable.operations import InstanceOver, Operations
from local_azure.functions_host.durable.registry import Registry
from local_azure.functions_host.durable.rewind_plan import RewindPlan, plan_rewind
from local_azure.functions_host.durable.store import add_work, update_instance
from local_azure.functions_host.durable.timers import Timers
from local_azure.functions_host.durable.turns import Turns
from local_azure.functions_host.durable.writer import Statement


class Rewinding:
    """Takes failed instances back to before their failure."""

    def __init__(
        self,
        *,
        hub: Hub,
        registry: Registry,
        operations: Operations,
        turns: Turns,
        activities: Activities,
        timers: Timers,
        entities: Entities,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._operations = operations
        self._turns = turns
        self._activities = activities
        self._timers = timers
        self._entities = entities

    async def rewind(self, instance_id: str, reason: str | None) -> None:
        """Run a failed instance again from before its failure, sub-orchestrations that failed included.

        Raises:
            InstanceNotFound: There is no such instance.
            InstanceOver: It has not failed.
        """
        instance = await self._operations.find(instance_id)
        if instance.status != FAILED:
            raise InstanceOver(f"Instance with ID '{instance_id}' is {instance.status}, not {FAILED}.")
        plan = await plan_rewind(instance, self._hub.store.history(instance_id), self._hub, self._turns)
        if self._registry.is_live(instance_id):
            raise InstanceOver(f"Instance with ID '{instance_id}' was started again meanwhile.")
        failed_children = await self._apply(instance, plan, reason or "")
        for child_id in failed_children:
            await self.rewind(child_id, reason)

    async def _apply(self, instance: Instance, plan: RewindPlan, reason: str) -> list[str]:
        """Make the instance live; gives the sub-orchestrations to rewind."""
        instance.status, instance.output, instance.updated = RUNNING, "null", self._hub.now()
        instance.replay, instance.history, instance.history_length = plan.replay, None, plan.rows_kept
        self._registry.adopt(instance)
        statements: list[Statement] = [
            ("DELETE FROM hist WHERE id = ? AND seq >= ?", [(instance.id, plan.rows_kept)]),
            update_instance(instance),
        ]
        rewound = new_event(EventType.GENERIC_EVENT, instance.updated, Data=f"Rewound: {reason}")
        # Posted in one go, and the turn starts after the commit: it reads the shortened history from the store.
        instance.is_turning = True
        statements += [self._registry.post(instance, event) for event in (*plan.repost, rewound)]
        works: list[Work] = []
        failed_children: list[str] = []
        for event in plan.pending:
            if event["EventType"] == EventType.SUB_ORCHESTRATION_CREATED:
                statements += self._take_up_child(instance, event, failed_children)
            elif event["EventType"] == EventType.EVENT_SENT:
                request = _request(event)
                statements += self._entities.send(request, caller=instance.id, execution=instance.execution)
            elif not self._activities.is_owed(instance.id, instance.execution, event["EventId"]):
                works.append(self._work(instance, event))
        await self._hub.submit([*statements, add_work(works)])
        instance.is_turning = False
        for work in works:
            if work.kind == TIMER:
                instance.timers[work.task] = work
                self._timers.add(work)
            else:
                self._activities.dispatch(work)
        self._turns.wake(instance)
        return failed_children

    def _take_up_child(self, instance: Instance, event: Event, failed: list[str]) -> list[Statement]:
        child_id, task = event["InstanceId"], event["EventId"]
        child = self._registry.get(child_id) or self._hub.store.instance(child_id)
        parent = Parent(instance.id, instance.execution, task)
        if child is None or child.parent != parent:
            return self._registry.begin(event["Name"], child_id, event["Input"], parent=parent)
        if child.status == COMPLETED:
            done = new_event(
                EventType.SUB_ORCHESTRATION_COMPLETED, instance.updated, TaskScheduledId=task, Result=child.output
            )
            return [self._registry.post(instance, done)]
        if child.status == FAILED:
            failed.append(child_id)
            return []
        if child.is_live:
            return []
        return self._registry.begin(event["Name"], child_id, event["Input"], version=child.version, parent=parent)

    def _work(self, instance: Instance, event: Event) -> Work:
        kind = TIMER if event["EventType"] == EventType.TIMER_CREATED else ACTIVITY
        if event.get("Name") == HTTP_ACTIVITY_NAME:
            kind = HTTP
        return Work(
            number=self._hub.store.next_number(),
            instance_id=instance.id,
            execution=instance.execution,
            kind=kind,
            task=event["EventId"],
            name=event.get("Name", ""),
            input=event.get("Input"),
            due=event.get("FireAt", ""),
        )


def _request(event: Event) -> EntityRequest:
    content = loads(event["Input"])
    return EntityRequest(
        event["InstanceId"], content["op"], content["input"], is_signal=content["signal"], request_id=content["id"]
    )
