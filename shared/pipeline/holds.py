"""Hold deliveries back while their provider can't be called: on the bus, unclaimed, until it can.

Takes a part of a chunk that came too early, gives its message back to the broker with a later time. No attempt and no
delivery count is spent; the notification stays as it is.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.breaker import PROBE_LOOK_SECONDS, Standing
from shared.domain.chunk import Chunk, ChunkItem
from shared.pipeline.announce import publish_chunks
from shared.pipeline.services import Services

logger = logging.getLogger(__name__)

_SPREAD_SECONDS = 5.0


async def hold(chunk: Chunk, items: Sequence[ChunkItem], provider: str, standing: Standing, services: Services) -> None:
    """The items are on the bus again, for when ``provider`` may be called. Raises PublishFailed."""
    soon = services.clock.now() + timedelta(seconds=PROBE_LOOK_SECONDS)
    spread = timedelta(seconds=random.uniform(0, _SPREAD_SECONDS))  # noqa: S311 - spreads load
    due_at = max(datetime.fromtimestamp(standing.until, UTC), soon) + spread
    logger.info(
        "Held back",
        extra={
            "channel": chunk.channel,
            "lane": chunk.lane.value,
            "provider": provider,
            "reason": standing.away,
            "deliveries": len(items),
        },
    )
    await publish_chunks([replace(chunk, items=tuple(items), due_at=due_at)], services)
