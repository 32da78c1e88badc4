"""Bus messages that nobody can read: put with the dead letters under a reason, at once, and never tried again.

Reading the same bytes again gives the same answer, so the broker's ten deliveries would only be ten failures
(ADR 0018). What is lost with such a message is an announcement: deliveries stand in the store, and the sweeper
publishes them again. Such bytes may hold anything, so only their digest is kept; but a message in our own envelope
whose version this process doesn't know holds references only and is kept whole, to be put back after the deployment
that knows it.
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from shared.channels import CHANNELS
from shared.contracts.events import NotificationSubmitted
from shared.contracts.field_errors import pointer_to
from shared.domain.dead_letter import BUS, DeadLetter, DeadMessage, Tag
from shared.pipeline.dead_letters import message_of
from shared.pipeline.services import DEAD_LETTERS, Services

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 128 * 1024  # a chunk or its outcomes are below 20 KiB, and the broker's standard tier takes 256
MAX_POINTERS = 10
_UNKNOWN_VERSION = "unknown_version"

Event = TypeVar("Event", bound=BaseModel)


class _Unreadable(Exception):
    """Why, in a word that is stable; and where in the message."""

    def __init__(self, reason: str, pointers: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pointers = pointers


async def read_or_bury(model: type[Event], body: bytes, entity: str, services: Services) -> Event | None:
    """The event in ``body``; None when it can't be read and is with the dead letters now.

    ``entity`` is where it came from. Raises PublishFailed: it is not there yet, and the message should come back.
    """
    try:
        return _read(model, body)
    except _Unreadable as problem:
        await _bury(body, entity, problem, services)
        return None


def _read(model: type[Event], body: bytes) -> Event:
    if len(body) > MAX_MESSAGE_BYTES:
        raise _Unreadable("oversize")
    try:
        event = model.model_validate_json(body)
    except ValidationError as error:
        raise _diagnosis(model, body, error) from error
    if isinstance(event, NotificationSubmitted):
        _check_chunk(event)
    return event


def _diagnosis(model: type[BaseModel], body: bytes, error: ValidationError) -> _Unreadable:
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Unreadable("not_json")
    if not isinstance(document, dict):
        return _Unreadable("bad_schema")
    pointers = [pointer_to(each["loc"]) for each in error.errors(include_input=False)[:MAX_POINTERS]]
    version = document.get("schemaVersion")
    if isinstance(version, int) and version != model.model_fields["schema_version"].default:
        return _Unreadable(_UNKNOWN_VERSION, pointers)
    return _Unreadable("bad_schema", pointers)


def _check_chunk(event: NotificationSubmitted) -> None:
    if event.channel not in CHANNELS:
        raise _Unreadable("unknown_channel", ["/channel"])
    if event.partition_key.rpartition(":")[0] != event.tenant_id:
        raise _Unreadable("foreign_partition", ["/partitionKey"])
    if not event.deliveries:
        raise _Unreadable("bad_schema", ["/deliveries"])


async def _bury(body: bytes, entity: str, problem: _Unreadable, services: Services) -> None:
    digest = hashlib.sha256(entity.encode() + b"\n" + body).hexdigest()
    story = DeadMessage(
        entity=entity,
        digest=digest,
        size=len(body),
        pointers=tuple(problem.pointers),
        body=body.decode() if problem.reason == _UNKNOWN_VERSION else None,
    )
    now = services.clock.now()
    # The same bytes have the same id, so the queue's duplicate detection keeps a storm of copies from filling it.
    letter = DeadLetter(BUS, Tag.POISON, problem.reason, dead_since=now, story=story, filed_at=now)
    await services.publisher.publish(DEAD_LETTERS, [message_of(letter)])
    logger.warning("Message not readable", extra={"entity": entity, "reason": problem.reason, "digest": digest})
