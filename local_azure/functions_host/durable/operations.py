"""What a durable client can ask for: start, raise, terminate, suspend, resume, restart, purge and look up.

Each method returns when its change is on disk.
"""

import uuid

from local_azure.functions_host.durable.catalog import missing_function
from local_azure.functions_host.durable.endings import Endings
from local_azure.functions_host.durable.history import EventType, new_event
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import (
    PENDING,
    RUNNING,
    SUSPENDED,
    TERMINATED,
    Instance,
    instance_id_problem,
)
from local_azure.functions_host.durable.json_text import dumps
from local_azure.functions_host.durable.registry import Registry
from local_azure.functions_host.durable.store import forget_instance, update_instance


class OperationRefused(Exception):
    """A client asked for what cannot be; the message says why."""

    status = 400


class InstanceNotFound(OperationRefused):
    """No instance has this id."""

    status = 404


class InstanceOver(OperationRefused):
    """The instance is in a state in which this is no longer possible."""

    status = 410


class InstanceExists(OperationRefused):
    """A live instance has this id already (the extension's default: only instances that are over are replaced)."""

    status = 409


class Operations:
    """The client's side of a task hub."""

    def __init__(self, hub: Hub, registry: Registry, endings: Endings) -> None:
        self._hub = hub
        self._registry = registry
        self._endings = endings

    async def start(self, name: str, instance_id: str | None, token: str, *, version: str | None = None) -> str:
        """The id of the new instance.

        Args:
            name: The orchestrator, in any case.
            instance_id: The id to use, or None for a new one.
            token: The input as JSON.
            version: What ``context.version`` shows.

        Raises:
            OperationRefused: The function or the id is not valid.
            InstanceExists: A live instance has this id.
        """
        function = self._hub.functions.orchestrator(name)
        if function is None:
            raise OperationRefused(missing_function("orchestrator", name, self._hub.functions.orchestrators))
        new_id = uuid.uuid4().hex if instance_id is None else instance_id
        if problem := instance_id_problem(new_id):
            raise OperationRefused(problem)
        if self._registry.is_live(new_id):
            raise InstanceExists(f"An Orchestration instance with the status Running already exists: '{new_id}'.")
        await self._hub.submit(self._registry.begin(function, new_id, token, version=version))
        return new_id

    async def find(self, instance_id: str) -> Instance:
        """The instance as it is on disk.

        Raises:
            InstanceNotFound: There is none.
        """
        while True:
            instance = self._registry.get(instance_id)
            await self._hub.store.writer.settled()
            if self._registry.get(instance_id) is instance:  # else it began or ended while we waited
                break
        instance = instance or self._hub.store.instance(instance_id)
        if instance is None:
            raise InstanceNotFound(f"No instance with ID '{instance_id}' found.")
        return instance

    async def _live(self, instance_id: str) -> Instance:
        live = self._registry.get(instance_id)
        if live is not None:
            return live
        over = await self.find(instance_id)
        live = self._registry.get(instance_id)  # it may have been restarted while we looked
        if live is None:
            raise InstanceOver(f"Instance with ID '{instance_id}' is {over.status}.")
        return live

    async def raise_event(self, instance_id: str, name: str, token: str) -> None:
        """Hand an external event to a live instance; it is kept until a turn has seen it."""
        instance = await self._live(instance_id)
        event = new_event(EventType.EVENT_RAISED, self._hub.now(), Name=name, Input=token)
        await self._hub.submit([self._registry.post(instance, event)])

    async def terminate(self, instance_id: str, reason: str | None) -> None:
        instance = await self._live(instance_id)
        output = dumps(reason or "")
        await self._hub.submit(self._endings.end(instance, TERMINATED, output, reason=reason or "terminated"))

    async def suspend(self, instance_id: str, reason: str | None) -> None:
        """Hold back the instance's turns; what it is sent meanwhile waits in its inbox."""
        instance = await self._live(instance_id)
        if instance.status != SUSPENDED:
            await self._switch(instance, SUSPENDED, EventType.EXECUTION_SUSPENDED, reason)

    async def resume(self, instance_id: str, reason: str | None) -> None:
        instance = await self._live(instance_id)
        if instance.status == SUSPENDED:
            status = RUNNING if instance.history_length or instance.replay.next_id else PENDING
            await self._switch(instance, status, EventType.EXECUTION_RESUMED, reason)

    async def _switch(self, instance: Instance, status: str, kind: EventType, reason: str | None) -> None:
        instance.status = status
        instance.updated = self._hub.now()
        event = new_event(kind, instance.updated, Reason=reason or "")
        await self._hub.submit([update_instance(instance), self._registry.post(instance, event)])

    async def restart(self, instance_id: str, *, with_new_id: bool) -> str:
        """The id of a new instance with the same orchestrator, input and version."""
        original = await self.find(instance_id)
        new_id = None if with_new_id else instance_id
        return await self.start(original.name, new_id, original.input, version=original.version)

    async def purge(self, instance_id: str) -> int:
        """The number of instances deleted: 1, or 0 when it is still live (it is left alone)."""
        instance = await self.find(instance_id)
        if instance.is_live:
            return 0
        await self._hub.submit(forget_instance(instance_id))
        return 1
