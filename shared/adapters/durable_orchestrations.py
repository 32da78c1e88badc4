"""Durable Functions, as the pipeline uses them, over the client that the host binds to a function."""

import asyncio
import logging
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from azure.durable_functions import DurableOrchestrationClient, OrchestrationRuntimeStatus

from shared.domain.identifiers import TrackingId
from shared.domain.notification import Notification
from shared.domain.status import is_outcome

logger = logging.getLogger(__name__)

AWAIT_OUTCOME = "await_outcome"
WHOLE = "notification"  # stands for a channel where a notification is waited for as a whole
_ALIVE = {"Pending", "Running", "Suspended", "ContinuedAsNew"}
_ENDED = (
    OrchestrationRuntimeStatus.Completed,
    OrchestrationRuntimeStatus.Failed,
    OrchestrationRuntimeStatus.Terminated,
    OrchestrationRuntimeStatus.Canceled,
)
_FIRST_LOOK_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.25


class DurableOrchestrations:
    """Orchestrations and OutcomeWaiter over a DurableOrchestrationClient.

    The SDK raises bare ``Exception`` for everything, so what happened is asked of the instance itself.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def start(self, name: str, instance_id: str, argument: dict[str, object]) -> bool:
        """Whether a new instance was started; False when one with this id is alive."""
        try:
            await self._client.start_new(name, instance_id, argument)
        except Exception:
            if await self._is_alive(instance_id):
                return False
            raise
        return True

    async def raise_event(self, instance_id: str, event: str, argument: dict[str, object]) -> bool:
        """Whether the instance was alive to hear the event."""
        if not await self._is_alive(instance_id):
            return False
        await self._client.raise_event(instance_id, event, argument)
        return True

    async def forget_finished(self, since: datetime, until: datetime) -> int:
        """How many instances made between ``since`` and ``until`` that have ended were forgotten with their history."""
        result = await self._client.purge_instance_history_by(since, until, list(_ENDED))
        return int(result.instances_deleted)

    async def _is_alive(self, instance_id: str) -> bool:
        status = await self._client.get_status(instance_id)
        return status is not None and status.runtime_status is not None and status.runtime_status.name in _ALIVE


class DurableOutcomeWaiter:
    """OutcomeWaiter and Waiters: an orchestration for each notification that is waited for.

    The status topic's subscription ``waiters`` wakes it, or the change feed where channels are used in turn. Takes the
    binding's text and makes the client when someone waits; most requests don't.
    """

    def __init__(self, starter: str) -> None:
        self._starter = starter

    @cached_property
    def _client(self) -> Any:
        return DurableOrchestrationClient(self._starter)

    async def start(self, notification: Notification, wait: timedelta) -> bool:
        # Channels in turn have no outcome each that would tell when it is over.
        open_ones = [name for name, each in notification.deliveries.items() if not is_outcome(each.status)]
        awaited = [WHOLE] if notification.fallback else sorted(open_ones)
        argument = {"channels": awaited, "waitSeconds": wait.total_seconds()}
        try:
            await self._client.start_new(AWAIT_OUTCOME, waiter_id(notification.tracking_id), argument)
        except Exception:
            # The notification is accepted already; that nobody can wait for it must not turn into a refusal.
            logger.exception("Waiting could not be started", extra={"tracking_id": notification.tracking_id})
            return False
        return True

    async def settle(self, tracking_id: TrackingId) -> None:
        try:
            await DurableOrchestrations(self._client).raise_event(waiter_id(tracking_id), f"outcome-{WHOLE}", {})
        except Exception:
            # Whoever waits gives up in time; the change that was shown must not come back for it.
            logger.exception("Nobody could be woken", extra={"tracking_id": tracking_id})

    async def wait(self, tracking_id: TrackingId, wait: timedelta) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait.total_seconds()
        pause = _FIRST_LOOK_SECONDS
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(pause, left))
            try:
                status = await self._client.get_status(waiter_id(tracking_id))
            except Exception:
                # It is accepted and on its way; that nobody can say how it went is no failure of the request.
                logger.exception("Waiting was given up", extra={"tracking_id": tracking_id})
                return False
            if status is not None and status.runtime_status is not None and status.runtime_status.name not in _ALIVE:
                return bool(status.output == "settled")
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        return False


def waiter_id(tracking_id: str) -> str:
    """The orchestration that waits for a notification's outcome."""
    return f"{tracking_id}:outcome"
