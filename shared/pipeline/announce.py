"""What the pipeline puts on the bus, and what it does when the bus is away."""

import asyncio
import logging
from collections.abc import Sequence

from shared.contracts.events import NotificationStatus, status_message, submitted_message
from shared.domain.chunk import Chunk, chunks_of
from shared.domain.errors import PublishFailed
from shared.domain.notification import Notification
from shared.pipeline.services import STATUS, SUBMITTED, Services

logger = logging.getLogger(__name__)


async def publish_eagerly(notifications: Sequence[Notification], services: Services) -> None:
    """The notifications are on their way to delivery, or the sweeper will find that they are not.

    Never raises and never takes longer than the patience for it: accepting doesn't depend on the broker.
    """
    await publish_or_leave(list(chunks_of(notifications)), services)


async def publish_or_leave(chunks: Sequence[Chunk], services: Services) -> None:
    """The chunks, whose deliveries all have a wake-up time, are on the bus or left for the sweeper. Never raises."""
    if not chunks:
        return
    now = services.clock.now()
    messages = [submitted_message(chunk, now) for chunk in chunks]
    try:
        async with asyncio.timeout(services.patience.eager_publish.total_seconds()):
            await services.publisher.publish(SUBMITTED, messages)
    except (PublishFailed, TimeoutError) as error:
        logger.info("Left for the sweeper", extra={"chunks": len(messages), "cause": type(error).__name__})


async def publish_chunks(chunks: Sequence[Chunk], services: Services) -> None:
    """The chunks are on the bus. Raises PublishFailed."""
    if chunks:
        now = services.clock.now()
        await services.publisher.publish(SUBMITTED, [submitted_message(chunk, now) for chunk in chunks])


async def publish_status(event: NotificationStatus, services: Services, *, awaited: bool) -> None:
    """The status event is on the bus. Raises PublishFailed."""
    await services.publisher.publish(STATUS, [status_message(event, awaited=awaited)])
