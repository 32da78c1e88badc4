"""From a request to the chunk a delivery function gets, and from the status topic to what was said."""

from dataclasses import replace
from typing import Any

from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.domain.chunk import Chunk, ChunkItem
from shared.pipeline.services import STATUS, SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.world import CALLER, World, a_batch, a_body, a_request


async def accept(world: World, **fields: Any) -> Chunk:
    await world.submit(a_request(**fields))
    return taken(world)


async def accept_together(world: World, count: int) -> Chunk:
    await submit_batch(a_batch([a_body(reference=f"item-{n}") for n in range(count)]), CALLER, world.services)
    return taken(world)


def taken(world: World) -> Chunk:
    [message] = world.publisher.take(SUBMITTED)
    return NotificationSubmitted.model_validate_json(message.body).to_chunk()


def attempt_of(chunk: Chunk, number: int) -> Chunk:
    return replace(chunk, items=(ChunkItem(chunk.items[0].tracking_id, number),))


def told(world: World) -> list[tuple[str, int]]:
    return [
        (item.status.value, item.attempt)
        for message in world.publisher.take(STATUS)
        for item in NotificationStatus.model_validate_json(message.body).items
    ]
