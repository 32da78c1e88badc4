"""Acceptance 22 in virtual time: an email campaign in the same process moves urgent SMS by nothing but CPU.

The model has no CPU: what is left is who waits for whose place. bench/faults measures the rest on real processes.
"""

import asyncio
import random

import pytest

from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Lane
from shared.pipeline.lanes import Lanes
from tests.fakes.flooded_lane import elapsed, now
from tests.fakes.virtual_time import run_virtually

SMS_PER_SECOND = 420
PROVIDER_SECONDS = 0.12
SECONDS = 10.0


def _chunk(channel: str, lane: Lane, count: int) -> Chunk:
    items = tuple(ChunkItem(TrackingId(str(number))) for number in range(count))
    return Chunk(TenantId("t"), PartitionKey("t:0"), channel, lane, items, wanted_at=now())


async def _sms_and(campaign: Lane | None) -> list[float]:
    """How long each urgent SMS took from the bus to its end."""
    lanes, chance, took = Lanes(monotonic=elapsed), random.Random(3), list[float]()

    async def send(channel: str, lane: Lane, count: int) -> None:
        started = elapsed()
        async with lanes.bulkhead.room_for(_chunk(channel, lane, count)):
            await asyncio.sleep(chance.uniform(0.5, 1.5) * PROVIDER_SECONDS)
        if channel == "sms":
            took.append(elapsed() - started)

    async def emails() -> None:
        while elapsed() < SECONDS:
            await send("email", campaign or Lane.LOW, 50)

    async def texts() -> None:
        tasks = set()
        while elapsed() < SECONDS:
            await asyncio.sleep(chance.expovariate(SMS_PER_SECOND))
            tasks.add(asyncio.create_task(send("sms", Lane.HIGH, 1)))
        await asyncio.gather(*tasks)

    await asyncio.gather(texts(), *((emails() for _ in range(64)) if campaign else ()))
    return sorted(took)


@pytest.mark.parametrize("campaign", [Lane.LOW, Lane.NORMAL, Lane.HIGH])
def test_urgent_sms_is_as_quick_beside_a_campaign_as_alone(campaign: Lane) -> None:
    alone, beside = run_virtually(_sms_and(None)), run_virtually(_sms_and(campaign))

    assert beside[int(len(beside) * 0.95)] < 1.1 * alone[int(len(alone) * 0.95)]
