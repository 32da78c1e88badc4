"""Runs what instances are owed: takes work rows, gives completion events. At least once, in no order.

A result is one transaction: the completion goes into the instance's inbox and the work row goes. A worker that dies
in the middle is not the function's failure: the row is still there, and the work is done again.
"""

import asyncio
import logging
from collections.abc import Callable

from local_azure.functions_host.durable.decisions import HTTP
from local_azure.functions_host.durable.history import Event, EventType, new_event
from local_azure.functions_host.durable.http_call import HttpCaller
from local_azure.functions_host.durable.hub import ABORTED, Hub, pause_after_abort
from local_azure.functions_host.durable.instance import Work
from local_azure.functions_host.durable.json_text import NULL
from local_azure.functions_host.durable.outcome import describe_failure
from local_azure.functions_host.durable.store import remove_work
from local_azure.functions_host.durable.writer import Statement
from local_azure.functions_host.errors import InvocationFailed

logger = logging.getLogger(__name__)

Deliver = Callable[[str, str, Event], list[Statement]]


class Activities:
    """At most ``limit`` activities at a time."""

    def __init__(self, hub: Hub, deliver: Deliver, http: HttpCaller, *, limit: int) -> None:
        self._hub = hub
        self._deliver = deliver
        self._http = http
        self._slots = asyncio.Semaphore(limit)
        self._owed: set[tuple[str, str, int]] = set()

    def dispatch(self, work: Work) -> None:
        """Start the work when a slot is free."""
        self._owed.add((work.instance_id, work.execution, work.task))
        self._hub.spawn(self._run(work))

    def is_owed(self, instance_id: str, execution: str, task: int) -> bool:
        """Whether this activity is waiting or running, so that its completion is still to come."""
        return (instance_id, execution, task) in self._owed

    async def _run(self, work: Work) -> None:
        aborts = 0
        while True:
            async with self._slots:
                try:
                    event = await self._attempt(work)
                    break
                except ABORTED:
                    logger.info("an activity lost its worker and runs again", extra={"activity": work.name})
            await pause_after_abort(aborts)
            aborts += 1
        self._owed.discard((work.instance_id, work.execution, work.task))
        statements = [remove_work([work.number]), *self._deliver(work.instance_id, work.execution, event)]
        await self._hub.submit(statements)

    async def _attempt(self, work: Work) -> Event:
        try:
            if work.kind == HTTP:
                result = await self._http.call(work.input or NULL)
            else:
                result = await self._hub.invoke("activity", work.name, work.input or NULL)
        except ABORTED:
            raise
        except InvocationFailed as error:
            return self._failed(work, str(error))
        except Exception as error:
            logger.exception("an activity could not be invoked", extra={"activity": work.name})
            return self._failed(work, repr(error))
        return new_event(EventType.TASK_COMPLETED, self._hub.now(), TaskScheduledId=work.task, Result=result or NULL)

    def _failed(self, work: Work, message: str) -> Event:
        reason = f"Activity function '{work.name}' failed: {describe_failure(message)}"
        return new_event(
            EventType.TASK_FAILED, self._hub.now(), TaskScheduledId=work.task, Reason=reason, Details=message
        )
