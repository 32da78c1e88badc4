"""Orchestrator turns: takes an instance's inbox, runs the orchestrator over the whole history, hands on the outcome.

One turn of an instance at a time; turns of different instances run side by side up to a limit. The orchestrator runs
on a worker, so a long history (each event costs the SDK some 30 us) does not hold up the host's event loop.
"""

import asyncio
import logging
from collections import OrderedDict

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.conclusion import Conclusion, Episode
from local_azure.functions_host.durable.decisions import arrange
from local_azure.functions_host.durable.history import EventType, new_event, render
from local_azure.functions_host.durable.hub import ABORTED, Hub, pause_after_abort
from local_azure.functions_host.durable.instance import SUSPENDED, Instance
from local_azure.functions_host.durable.json_text import decoded_once, dumps
from local_azure.functions_host.durable.outcome import Outcome, outcome_of_failure, outcome_of_return
from local_azure.functions_host.durable.registry import Registry
from local_azure.functions_host.durable.writer import StoreUnusable
from local_azure.functions_host.errors import InvocationFailed

logger = logging.getLogger(__name__)

MESSAGES_PER_TURN = 1000
WARM_HISTORIES = 2000
"""So many histories of waiting instances stay in memory; the others are read again for their next turn."""
LONG_HISTORY = 2000
"""From here on a turn costs about 100 ms and more: the app should use sub-orchestrations or continue-as-new."""


class Turns:
    """At most ``limit`` orchestrators at a time."""

    def __init__(self, hub: Hub, registry: Registry, conclusion: Conclusion, *, limit: int) -> None:
        self._hub = hub
        self._registry = registry
        self._conclusion = conclusion
        self._slots = asyncio.Semaphore(limit)
        self._warm: OrderedDict[str, Instance] = OrderedDict()
        registry.wake = self.wake

    def wake(self, instance: Instance) -> None:
        """Run turns until the inbox is empty, unless that is happening already."""
        if instance.is_turning or not self._may_turn(instance):
            return
        instance.is_turning = True
        self._hub.spawn(self._run(instance))

    def _may_turn(self, instance: Instance) -> bool:
        if not instance.inbox or instance.status == SUSPENDED or self._registry.get(instance.id) is not instance:
            return False
        if self._hub.functions.orchestrator(instance.name) is None:
            logger.warning("an instance waits for an orchestrator the app lacks", extra={"orchestrator": instance.name})
            return False
        return True

    async def _run(self, instance: Instance) -> None:
        aborts = 0
        try:
            while self._may_turn(instance):
                async with self._slots:
                    committed = await self._turn(instance)
                if committed is None:
                    await pause_after_abort(aborts)
                    aborts += 1
                else:
                    aborts = 0
                    await committed
        except StoreUnusable:
            logger.exception("an orchestration stops: its turn could not be stored")
        finally:
            instance.is_turning = False
            self._keep_warm(instance)

    async def _turn(self, instance: Instance) -> asyncio.Future[None] | None:
        """The turn's commit, or None when the worker was lost and the turn must run again."""
        messages = arrange(instance.inbox, instance.replay)[:MESSAGES_PER_TURN]
        execution = instance.execution
        now = self._hub.clock()
        started = new_event(EventType.ORCHESTRATOR_STARTED, instant.to_text(now))
        events = [started, *(message.event for message in messages)]
        try:
            outcome = await self._invoke(instance, [render(event) for event in events])
        except ABORTED:
            logger.info("an orchestrator lost its worker; its turn runs again", extra={"instance_id": instance.id})
            return None
        if self._registry.get(instance.id) is not instance or instance.execution != execution:
            return self._hub.submit([])  # terminated, purged or replaced meanwhile: the outcome no longer matters
        return self._conclusion.conclude(instance, Episode(messages, events, now), outcome)

    async def replayed(self, instance: Instance, new_events: list[str]) -> Outcome:
        """The outcome of the orchestrator over a given history; nothing follows from it."""
        aborts = 0
        while True:
            try:
                async with self._slots:
                    return await self._invoke(instance, new_events)
            except ABORTED:
                await pause_after_abort(aborts)
                aborts += 1

    async def _invoke(self, instance: Instance, new_events: list[str]) -> Outcome:
        if instance.history is None:
            instance.history = self._hub.store.history(instance.id)
        if instance.history_length < LONG_HISTORY <= instance.history_length + len(new_events):
            logger.warning("a history grew long; use sub-orchestrations", extra={"instance_id": instance.id})
        payload = _trigger_payload(instance, new_events)
        name = self._hub.functions.orchestrator(instance.name) or instance.name
        try:
            return outcome_of_return(await self._hub.invoke("orchestrator", name, payload))
        except ABORTED:
            raise
        except InvocationFailed as error:
            return outcome_of_failure(str(error))
        except Exception as error:
            logger.exception("an orchestrator could not be invoked", extra={"orchestrator": name})
            return outcome_of_failure(repr(error))

    def _keep_warm(self, instance: Instance) -> None:
        self._warm.pop(instance.id, None)
        if self._registry.get(instance.id) is instance:
            self._warm[instance.id] = instance
        while len(self._warm) > WARM_HISTORIES:
            _, coldest = self._warm.popitem(last=False)
            if not coldest.is_turning:
                coldest.history = None


def _trigger_payload(instance: Instance, new_events: list[str]) -> str:
    """The orchestrationTrigger's JSON.

    No ``maximumShortTimerDuration`` is sent, so that the SDK makes one timer of any length.
    """
    history = instance.history or []
    head = dumps(
        {
            "input": decoded_once(instance.input),
            "instanceId": instance.id,
            "isReplaying": bool(history),
            "parentInstanceId": instance.parent.instance_id if instance.parent else None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        }
    )
    return f'{head[:-1]},"history":[{",".join([*history, *new_events])}]}}'
