"""The end of a turn: takes the outcome, changes the instance in memory, and submits one transaction for all of it."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.activities import Activities
from local_azure.functions_host.durable.decisions import TIMER, ActionRefused, Decisions, Turn
from local_azure.functions_host.durable.endings import Endings, append_history
from local_azure.functions_host.durable.entities import Entities
from local_azure.functions_host.durable.history import Event, EventType, new_event
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import (
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    Instance,
    Message,
    Parent,
    Work,
)
from local_azure.functions_host.durable.json_text import dumps
from local_azure.functions_host.durable.outcome import Outcome
from local_azure.functions_host.durable.registry import Registry
from local_azure.functions_host.durable.store import add_work, remove_messages, remove_work, update_instance
from local_azure.functions_host.durable.timers import Timers
from local_azure.functions_host.durable.writer import Statement

logger = logging.getLogger(__name__)

WIDE_FAN_OUT = 500
"""More actions than this in one turn are carried out, with a warning: sub-orchestrations are faster."""


@dataclass(frozen=True, slots=True)
class Episode:
    """What a turn was run with: the consumed messages, and the events (OrchestratorStarted first)."""

    messages: list[Message]
    events: list[Event]
    now: datetime


class Conclusion:
    """Carries out what an orchestrator decided."""

    def __init__(
        self,
        *,
        hub: Hub,
        registry: Registry,
        activities: Activities,
        timers: Timers,
        entities: Entities,
        endings: Endings,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._activities = activities
        self._timers = timers
        self._entities = entities
        self._endings = endings

    def conclude(self, instance: Instance, episode: Episode, outcome: Outcome) -> asyncio.Future[None]:
        """The commit of everything that follows from the turn; activities start when it is done."""
        decisions, failure = self._decide(instance, episode, outcome)
        _consume(instance, episode.messages)
        if outcome.custom_status is not None:
            instance.custom_status = outcome.custom_status
        if instance.status == PENDING:
            instance.status = RUNNING
        instance.updated = instant.to_text(episode.now)
        statements = remove_messages(episode.messages)
        statements += self._carry_out(instance, decisions)
        statements += self._record(instance, [*episode.events, *decisions.events], episode)
        statements += self._finish(instance, decisions, outcome, failure)
        committed = self._hub.submit(statements)
        self._start_activities(decisions.works, committed)
        return committed

    def _decide(self, instance: Instance, episode: Episode, outcome: Outcome) -> tuple[Decisions, str | None]:
        turn = Turn(instance, self._hub.functions, episode.now, self._registry.is_live)
        try:
            decisions = turn.decide(episode.events, outcome)
        except ActionRefused as refusal:
            return Decisions(), str(refusal)
        if len(decisions.works) > WIDE_FAN_OUT:
            logger.warning("a turn scheduled very many tasks at once", extra={"instance_id": instance.id})
        return decisions, outcome.error

    def _carry_out(self, instance: Instance, decisions: Decisions) -> list[Statement]:
        for work in decisions.works:
            work.number = self._hub.store.next_number()
            if work.kind == TIMER:
                instance.timers[work.task] = work
                self._timers.add(work)
        cancelled = [timer for task in decisions.cancelled_timers if (timer := instance.timers.pop(task, None))]
        for timer in cancelled:
            timer.is_cancelled = True
        numbers = {timer.number for timer in cancelled}
        instance.inbox = [message for message in instance.inbox if message.work_number not in numbers]
        statements = [add_work(decisions.works), remove_work(sorted(numbers))]
        for child in decisions.children:
            parent = Parent(instance.id, instance.execution, child.task)
            statements += self._registry.begin(
                child.name, child.instance_id, child.input, version=child.version, parent=parent
            )
        for request in decisions.requests:
            statements += self._entities.send(request, caller=instance.id, execution=instance.execution)
        return statements

    def _record(self, instance: Instance, events: list[Event], episode: Episode) -> list[Statement]:
        completed = new_event(EventType.ORCHESTRATOR_COMPLETED, instant.to_text(episode.now))
        return [append_history(instance, [*events, completed])]

    def _finish(
        self, instance: Instance, decisions: Decisions, outcome: Outcome, failure: str | None
    ) -> list[Statement]:
        if failure is not None:
            output = f"Orchestrator function '{instance.name}' failed: {failure}"
            return self._endings.end(instance, FAILED, dumps(output), reason=output)
        if outcome.is_done and decisions.continue_with is not None:
            return self._endings.continue_as_new(instance, decisions.continue_with, _waits_by_name(outcome))
        if outcome.is_done:
            return self._endings.end(instance, COMPLETED, outcome.output)
        return [update_instance(instance)]

    def _start_activities(self, works: list[Work], committed: asyncio.Future[None]) -> None:
        due = [work for work in works if work.kind != TIMER]

        def start(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                for work in due:
                    self._activities.dispatch(work)

        if due:
            committed.add_done_callback(start)


def _consume(instance: Instance, messages: list[Message]) -> None:
    consumed = {id(message) for message in messages}
    instance.inbox = [message for message in instance.inbox if id(message) not in consumed]
    for message in messages:
        if message.work_number is not None:
            instance.timers.pop(message.event["TimerId"], None)


def _waits_by_name(outcome: Outcome) -> Counter[str]:
    return Counter(leaf["externalEventName"] for leaf in outcome.leaves if leaf.get("actionType") == 6)
