"""Ask providers about attempts whose answer was lost, before the category's policy guesses (design 2.5).

Takes the notifications that the sweeper found overdue, gives what their providers know of each delivery in doubt. A
provider that can be asked has ``find_attempt``; where none can, or it does not answer in time, the answer is unknown
and the policy decides as it would have.

When the worker died in the middle of a call, nobody wrote down which provider it had called, so all of the channel are
asked: one that has it settles the matter, and only if every one of them says no was nothing sent.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol, runtime_checkable

from shared.domain.errors import ProviderError
from shared.domain.identifiers import TrackingId
from shared.domain.look_up import AttemptInDoubt, Finding, GivenUp, NotTaken, Taken, Unknown
from shared.domain.notification import Delivery, Notification
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import Services

logger = logging.getLogger(__name__)

LOOK_UPS_AT_ONCE = 20
LOOK_UP_TIME = timedelta(seconds=10)  # for all of one round; the sweeper has more to do than to wait for a provider

Findings = Mapping[tuple[TrackingId, str], Finding]


@runtime_checkable
class AnswersLookUps(Protocol):
    """A provider that can tell whether it took an attempt."""

    async def find_attempt(self, attempt: AttemptInDoubt) -> Finding:
        """What the provider knows of the attempt. Raises ProviderError when it can't be asked."""
        ...


async def find_in_doubt(overdue: Sequence[Notification], services: Services) -> Findings:
    """What providers know, by tracking id and channel, of every delivery that has been in doubt for long enough."""
    now = services.clock.now()
    gate = asyncio.Semaphore(LOOK_UPS_AT_ONCE)
    tasks = {
        (notification.tracking_id, delivery.channel): asyncio.create_task(_find(delivery, gate, services))
        for notification in overdue
        for delivery in notification.deliveries.values()
        if delivery.status is DeliveryStatus.IN_DOUBT and delivery.wake_at and delivery.wake_at <= now
    }
    if not tasks:
        return {}
    _, late = await asyncio.wait(tasks.values(), timeout=LOOK_UP_TIME.total_seconds())
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    findings = {key: task.result() for key, task in tasks.items() if task not in late}
    counts = Counter(type(finding).__name__.lower() for finding in findings.values())
    logger.info("Looked attempts up", extra={"late": len(late), **counts})
    return findings


async def _find(delivery: Delivery, gate: asyncio.Semaphore, services: Services) -> Finding:
    if not delivery.attempts:
        return Unknown()
    attempt = delivery.attempts[-1]
    doubt = AttemptInDoubt(attempt.id, delivery.address, attempt.claimed_at)
    candidates = [
        each for each in services.providers.get(delivery.channel, ()) if attempt.provider in {None, each.name}
    ]
    findings = []
    for provider in candidates:
        async with gate:
            finding = await _ask(provider, provider.name, doubt)
        if isinstance(finding, Taken | GivenUp):
            return finding
        findings.append(finding)
    return NotTaken() if findings and all(isinstance(each, NotTaken) for each in findings) else Unknown()


async def _ask(provider: object, name: str, doubt: AttemptInDoubt) -> Finding:
    if not isinstance(provider, AnswersLookUps):
        return Unknown()
    try:
        return await provider.find_attempt(doubt)
    except ProviderError as error:
        logger.info("A provider could not be asked", extra={"provider": name, "reason": error.reason})
    except Exception:
        logger.exception("A look-up failed unexpectedly", extra={"provider": name})
    return Unknown()
