"""File dead letters: from the queue ``dead-letters``, and from the broker's own dead-letter queues.

Takes messages, gives documents that can be listed, counted and replayed. Filing is the end of the road: it buries
nothing, waits for a store that is away, and then gives the message back, which the queue keeps for as long as it takes.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
from pydantic import BaseModel, ValidationError

from shared.contracts.callback_payload import CallbackBatch
from shared.contracts.dead_letter_documents import letter_of
from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.domain.dead_letter import BUS, DeadLetter, DeadMessage, Tag, tag_of_message
from shared.pipeline.services import CALLBACKS, DEAD_LETTERS, STATUS, SUBMITTED, Services
from shared.pipeline.store_outage import while_store_is_away

logger = logging.getLogger(__name__)

EVENTS: dict[str, type[NotificationSubmitted | NotificationStatus | CallbackBatch]] = {
    SUBMITTED: NotificationSubmitted,
    STATUS: NotificationStatus,
    CALLBACKS: CallbackBatch,
}


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that the broker gave up on: where, in the broker's words why, and when."""

    source: str
    reason: str | None
    body: bytes
    at: datetime


async def file_letter(body: bytes, at: datetime, services: Services) -> None:
    """The dead letter that the queue ``dead-letters`` held is filed. Raises StoreUnavailable: it should come back."""
    try:
        letter = letter_of(orjson.loads(body))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        letter = _unreadable(body, at, services)
    await _file(letter, services)


async def file_undelivered(message: Undelivered, services: Services) -> None:
    """The broker's dead letter is filed. Raises StoreUnavailable: it should come back."""
    entity = entity_of(message.source)
    if entity == DEAD_LETTERS:
        await file_letter(message.body, message.at, services)
        return
    event = _read(entity, message.body)
    letter = DeadLetter(
        tenant_id=BUS,
        tag=tag_of_message(message.reason, is_readable=event is not None),
        reason=message.reason or "unknown",
        dead_since=message.at,
        filed_at=services.clock.now(),
        # Written anew from what was read, so that what a stranger added to an envelope is not kept.
        story=_story(entity, message.body, event.model_dump_json(by_alias=True, exclude_none=True) if event else None),
    )
    await _file(letter, services)


def entity_of(source: str) -> str:
    """The entity as it is called here: ``queue``, or ``topic/subscription``."""
    parts = [part for part in source.split("/") if part.lower() not in {"", "subscriptions", "$deadletterqueue"}]
    return "/".join(parts) or "unknown"


def _read(entity: str, body: bytes) -> BaseModel | None:
    model = EVENTS.get(entity.partition("/")[0])
    if model is None:
        return None
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def _unreadable(body: bytes, at: datetime, services: Services) -> DeadLetter:
    """A dead letter that can't be read, as the dead message it is."""
    story = _story(DEAD_LETTERS, body, None)
    return DeadLetter(BUS, Tag.POISON, "bad_schema", dead_since=at, story=story, filed_at=services.clock.now())


def _story(entity: str, body: bytes, kept: str | None) -> DeadMessage:
    digest = hashlib.sha256(entity.encode() + b"\n" + body).hexdigest()
    return DeadMessage(entity=entity, digest=digest, size=len(body), body=kept)


async def _file(letter: DeadLetter, services: Services) -> None:
    dated = replace(letter, filed_at=services.clock.now())
    is_new = await while_store_is_away(lambda: services.dead_letters.file(dated), services.patience.store)
    logger.warning(
        "Dead letter filed",
        extra={"letter": letter.id, "tenant_id": letter.tenant_id, "tag": letter.tag.value, "is_copy": not is_new},
    )
