"""A received Service Bus message → what the trigger's converter expects (section 2.2 of the protocol notes).

Takes messages of azure-servicebus, gives the payload tuples ``message`` and ``messages`` of an ``invoke`` frame. Times
are written as ``+00:00`` because the official converter tries that form first and needs 17 µs for it instead of 61.
"""

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

Payload = tuple[Any, ...]
_LONGEST_TIME_TO_LIVE = timedelta(days=10_000)  # longer is "for ever": absent, as the converter cannot read it
_PLAIN = (str, int, float, bool, type(None))


def message_payload(name: str, message: ServiceBusReceivedMessage) -> Payload:
    """Cardinality one."""
    properties = json.dumps(application_properties(message))
    fields: dict[str, tuple[str, Any]] = {
        "UserProperties": ("json", properties),
        "ApplicationProperties": ("json", properties),
    }
    for key, value in _texts(message).items():
        if value is not None:
            fields[key] = ("string", value)
    for key, number in _numbers(message).items():
        if number is not None:
            fields[key] = ("int", number)
    return (name, message_body(message), fields)


def messages_payload(name: str, messages: list[ServiceBusReceivedMessage]) -> Payload:
    """Cardinality many."""
    arrays: dict[str, list[Any]] = {}
    for message in messages:
        for key, value in (*_texts(message).items(), *_numbers(message).items()):
            arrays.setdefault(f"{key}Array", []).append(value)
    bodies = [message_body(message) for message in messages]
    properties = [application_properties(message) for message in messages]
    return (name, bodies, arrays, properties, json.dumps(properties))


def message_body(message: ServiceBusReceivedMessage) -> bytes:
    """The data sections joined; a value or sequence body as text or JSON."""
    body = message.body
    if message.body_type == AmqpMessageBodyType.DATA:
        return b"".join(body)
    if message.body_type == AmqpMessageBodyType.SEQUENCE:
        return json.dumps([_plain(part) for part in body]).encode()
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(_plain(body)).encode()


def application_properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    properties = message.application_properties
    if not properties:
        return {}
    return {_text(key): _plain(value) for key, value in properties.items()}


def _texts(message: ServiceBusReceivedMessage) -> dict[str, str | None]:
    time_to_live = message.time_to_live
    expires = None
    if time_to_live is not None and time_to_live < _LONGEST_TIME_TO_LIVE:
        expires = message.expires_at_utc
    return {
        "MessageId": message.message_id,
        "CorrelationId": message.correlation_id,
        "ContentType": message.content_type,
        "Subject": message.subject,
        "Label": message.subject,
        "To": message.to,
        "ReplyTo": message.reply_to,
        "SessionId": message.session_id,
        "PartitionKey": message.partition_key,
        "LockToken": str(message.lock_token) if message.lock_token else None,
        "DeadLetterReason": message.dead_letter_reason,
        "DeadLetterSource": message.dead_letter_source,
        "DeadLetterErrorDescription": message.dead_letter_error_description,
        "EnqueuedTimeUtc": _instant(message.enqueued_time_utc),
        "LockedUntil": _whole_second(message.locked_until_utc),
        "ExpiresAtUtc": _whole_second(expires),
        "ScheduledEnqueueTimeUtc": _whole_second(message.scheduled_enqueue_time_utc),
        "TimeToLive": None if expires is None or time_to_live is None else str(int(time_to_live.total_seconds())),
    }


def _numbers(message: ServiceBusReceivedMessage) -> dict[str, int | None]:
    return {
        # The .NET client that Azure's host uses counts the delivery in progress; the Python client does not.
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "SequenceNumber": message.sequence_number,
        "EnqueuedSequenceNumber": message.enqueued_sequence_number,
        "State": int(message.state) if isinstance(message.state, int) else None,
    }


def _instant(value: datetime | None) -> str | None:
    if value is None:
        return None
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00"


def _whole_second(value: datetime | None) -> str | None:
    return None if value is None else f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}+00:00"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    """JSON's types; what JSON lacks becomes text."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
