"""Receipts that come through Azure Event Grid: whether they are authentic, what they say, and the first handshake.

Event Grid posts batches of events in its own schema and signs nothing. What tells it from anybody else is a key that
the event subscription sends along: as the header ``x-cns-receipt-key`` (a delivery property marked as secret) or, since
Microsoft does not say whether delivery properties travel with the handshake, as ``key`` in the subscription's URL.
Before the first event it asks for a validation code back, which is given only to who has the key.

Schema: https://learn.microsoft.com/azure/event-grid/event-schema
Validation: https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
Delivery properties: https://learn.microsoft.com/azure/event-grid/delivery-properties (all read 2026-11-25)

Event Grid repeats what it did not see taken, for 24 hours; a repeat says what it said before. The CloudEvents schema,
whose handshake is an OPTIONS request, is not read.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from shared.domain.errors import FieldError, InvalidSubmission, ReceiptNotAuthentic
from shared.ports import ReceiptRequest

KEY_HEADER = "x-cns-receipt-key"
KEY_IN_QUERY = "key"
MIN_KEY_LENGTH = 24
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


@dataclass(frozen=True, slots=True)
class GridEvent:
    """One event: its type, its own data, and the time at which it happened."""

    kind: str
    data: Mapping[str, object]
    at: datetime


def receipt_keys(name: str, value: str) -> tuple[str, ...]:
    """The keys in a setting; several, separated by spaces, while they rotate.

    Raises:
        ValueError: one is shorter than 24 characters; names the setting.
    """
    keys = tuple(value.split())
    if any(len(key) < MIN_KEY_LENGTH for key in keys):
        raise ValueError(f"{name}: a key has at least {MIN_KEY_LENGTH} characters")
    return keys


def verify_key(request: ReceiptRequest, keys: Sequence[str]) -> None:
    """Nothing when the request carries one of ``keys``.

    Raises:
        ReceiptNotAuthentic: in every other case.
    """
    presented = (request.headers.get(KEY_HEADER) or request.query.get(KEY_IN_QUERY, "")).encode()
    matches = [hmac.compare_digest(key.encode(), presented) for key in keys]
    if not any(matches):
        raise ReceiptNotAuthentic("the receipt key is missing or wrong")


def handshake_answer(request: ReceiptRequest) -> bytes | None:
    """What a subscription's validation wants to hear; None when the request is no validation.

    Raises:
        InvalidSubmission: the body is no list of events.
    """
    events = _listed(request.body)
    if len(events) != 1 or events[0].get("eventType") != VALIDATION:
        return None
    data = events[0].get("data")
    code = data.get("validationCode") if isinstance(data, dict) else None
    if not isinstance(code, str):
        raise _malformed("/0/data/validationCode", "missing")
    return orjson.dumps({"validationResponse": code})


def events_of(request: ReceiptRequest) -> Sequence[GridEvent]:
    """The events in a verified request.

    Raises:
        InvalidSubmission: the body is no list of events.
    """
    return [_event(index, event) for index, event in enumerate(_listed(request.body))]


def _listed(body: bytes) -> list[dict[str, object]]:
    try:
        events = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _malformed("", "not JSON") from error
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise _malformed("", "not a list of events")
    return events


def _event(index: int, event: Mapping[str, object]) -> GridEvent:
    data = event.get("data")
    if not isinstance(data, dict):
        raise _malformed(f"/{index}/data", "missing")
    try:
        at = datetime.fromisoformat(str(event.get("eventTime")))
    except ValueError as error:
        raise _malformed(f"/{index}/eventTime", "not a time") from error
    if at.tzinfo is None:
        raise _malformed(f"/{index}/eventTime", "without an offset")
    return GridEvent(str(event.get("eventType") or ""), data, at)


def _malformed(pointer: str, detail: str) -> InvalidSubmission:
    return InvalidSubmission([FieldError(pointer, detail)], status=400)
