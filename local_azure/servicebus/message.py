"""One message: AMQP sections in, stored content, AMQP sections out.

Takes the payload of a transfer and gives `Content`, the part that never changes (shared by all subscriptions that
get a copy), and `Message`, one copy in one entity with what the broker knows about it. Properties, application
properties and body stay the sender's bytes; only broker annotations, header and dead-letter properties are written
here. Implements AMQP 1.0 part 3, "Messaging", and the Service Bus annotations
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#message).
"""

import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from local_azure.servicebus import encoding as wire
from local_azure.servicebus.codec import DecodeError, ULong, decode, skip, split_map

ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2
BATCH_FORMAT = 0x80013700

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS = 0x70, 0x71, 0x72
PROPERTIES, APPLICATION_PROPERTIES, DATA, SEQUENCE, VALUE, FOOTER = 0x73, 0x74, 0x75, 0x76, 0x77, 0x78
MESSAGE_ID, GROUP_ID = 0, 10

BROKER_ANNOTATIONS = frozenset(
    (
        "x-opt-enqueued-time",
        "x-opt-locked-until",
        "x-opt-sequence-number",
        "x-opt-enqueue-sequence-number",
        "x-opt-message-state",
        "x-opt-deadletter-source",
        "x-opt-lock-token",
    )
)
_ENQUEUED_TIME = wire.encode_symbol("x-opt-enqueued-time") + b"\x83"
_LOCKED_UNTIL = wire.encode_symbol("x-opt-locked-until") + b"\x83"
_SEQUENCE_NUMBER = wire.encode_symbol("x-opt-sequence-number") + b"\x81"
_ENQUEUE_SEQUENCE_NUMBER = wire.encode_symbol("x-opt-enqueue-sequence-number") + b"\x81"
_MESSAGE_STATE = wire.encode_symbol("x-opt-message-state") + b"\x54"
_DEADLETTER_SOURCE = wire.encode_symbol("x-opt-deadletter-source")
_LOCK_TOKEN = b"\x00\x53\x71" + wire.encode_map(wire.encode_symbol("x-opt-lock-token") + b"\x98" + bytes(16), 2)[:-16]
_LONG = struct.Struct(">q").pack


def _sections(payload: bytes) -> list[tuple[int, int, int, int]]:
    """Code, start, start of the value and end, for each section in order."""
    sections, pos, end = [], 0, len(payload)
    while pos < end:
        if payload[pos] != 0:
            raise DecodeError("a message section is expected")
        if payload[pos + 1 : pos + 2] == b"\x53" and end - pos > 3:  # the usual, short form of the descriptor
            code, start = payload[pos + 2], pos + 3
        else:
            code, start = decode(payload, pos + 1)
        if not isinstance(code, int) or not HEADER <= code <= FOOTER:
            raise DecodeError("unknown message section")
        behind = skip(payload, start)
        sections.append((code, pos, start, behind))
        pos = behind
    return sections


@dataclass(slots=True, frozen=True)
class _Header:
    durable: bool = False
    ttl_ms: int | None = None

    @classmethod
    def decode(cls, payload: bytes, start: int) -> "_Header":
        fields, _ = decode(payload, start)
        if not isinstance(fields, list):
            raise DecodeError("the header is not a list")
        fields = fields + [None] * (5 - len(fields))
        ttl = fields[2]
        return cls(durable=fields[0] is True, ttl_ms=ttl if isinstance(ttl, int) else None)


@dataclass(eq=False)
class Content:
    """What the sender sent, without the parts that belong to the broker."""

    bare: bytes  # properties, application properties, body and footer, as sent
    annotations: bytes = b""  # encoded pairs
    annotation_count: int = 0  # keys and values
    durable: bool = False
    ttl_ms: int | None = None
    scheduled_at: int = 0  # ms; 0 when it is to be delivered at once
    partition_key: str | None = None
    properties_list: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, payload: bytes) -> "Content":
        """The content of one message.

        Raises:
            DecodeError: when the sections are malformed or there is nothing at all.
        """
        header, annotations, count, bare_start = _Header(), b"", 0, len(payload)
        keys: dict[str, Any] = {}
        properties: tuple[Any, ...] = ()
        application_properties: dict[str, Any] = {}
        for code, section, start, end in _sections(payload):
            if code == HEADER:
                header = _Header.decode(payload, start)
            elif code == MESSAGE_ANNOTATIONS:
                annotations, count, keys = _own_annotations(payload, start)
            elif code != DELIVERY_ANNOTATIONS:
                bare_start = min(bare_start, section)
                if code == PROPERTIES:
                    properties = _decode_properties(payload, start, end)
                elif code == APPLICATION_PROPERTIES:
                    split_map(payload, start)
                    application_properties, _ = decode(payload, start)
        if bare_start == len(payload):
            raise DecodeError("a message without a body")
        due = keys.get("x-opt-scheduled-enqueue-time")
        key = keys.get("x-opt-partition-key")
        content = cls(
            bare=payload[bare_start:],
            annotations=annotations,
            annotation_count=count,
            durable=header.durable,
            ttl_ms=header.ttl_ms,
            scheduled_at=due if isinstance(due, int) else 0,
            partition_key=key if isinstance(key, str) else None,
            properties_list=properties,
        )
        content.application_properties = application_properties
        return content

    @classmethod
    def restore(cls, *, bare: bytes, **stored: Any) -> "Content":
        """Content as the store kept it; the properties are read from the bytes again."""
        properties: tuple[Any, ...] = ()
        for code, _, start, end in _sections(bare):
            if code == PROPERTIES:
                properties = _decode_properties(bare, start, end)
        return cls(bare=bare, properties_list=properties, **stored)

    def _property(self, index: int) -> Any:
        return self.properties_list[index] if index < len(self.properties_list) else None

    @property
    def message_id(self) -> str | None:
        """The message id as text; used by duplicate detection."""
        value = self._property(MESSAGE_ID)
        return None if value is None else str(value)

    @property
    def session_id(self) -> str | None:
        value = self._property(GROUP_ID)
        return value if isinstance(value, str) else None

    @cached_property
    def application_properties(self) -> dict[str, Any]:
        for code, _, start, _ in _sections(self.bare):
            if code == APPLICATION_PROPERTIES:
                return dict(decode(self.bare, start)[0])
        return {}

    @cached_property
    def properties(self) -> tuple[Any, ...]:
        """The thirteen AMQP properties, absent ones as None."""
        return self.properties_list + (None,) * (13 - len(self.properties_list))

    def with_application_properties(self, added: dict[str, Any]) -> "Content":
        """The same message with these application properties set; all others keep their bytes."""
        kept, count, head, tail = b"", 0, 0, 0
        for code, _, start, end in _sections(self.bare):
            if code == APPLICATION_PROPERTIES:
                pairs = [pair for pair in split_map(self.bare, start) if pair[0] not in added]
                kept = b"".join(self.bare[first:last] for _, first, last in pairs)
                count, tail = 2 * len(pairs), end
                break
            if code == PROPERTIES:
                head = tail = end
        body = kept + b"".join(wire.encode_text(key) + wire.encode(value) for key, value in added.items())
        section = b"\x00\x53\x74" + wire.encode_map(body, count + 2 * len(added))
        return Content(
            bare=self.bare[:head] + section + self.bare[tail:],
            annotations=self.annotations,
            annotation_count=self.annotation_count,
            durable=self.durable,
            ttl_ms=self.ttl_ms,
            partition_key=self.partition_key,
            properties_list=self.properties_list,
        )


def _decode_properties(payload: bytes, start: int, end: int) -> tuple[Any, ...]:
    fields, behind = decode(payload, start)
    if not isinstance(fields, list) or behind != end or len(fields) > 13:
        raise DecodeError("malformed properties")
    return tuple(fields)


def _own_annotations(payload: bytes, start: int) -> tuple[bytes, int, dict[str, Any]]:
    """The sender's annotations without the broker's: encoded pairs, element count and decoded values."""
    values, _ = decode(payload, start)
    pairs = [pair for pair in split_map(payload, start) if pair[0] not in BROKER_ANNOTATIONS]
    return b"".join(payload[first:last] for _, first, last in pairs), 2 * len(pairs), values


def split_batch(payload: bytes) -> list[Content]:
    """The messages of a transfer in the batch format: one `data` section for each.

    Raises:
        DecodeError: when one of them is malformed; then none counts.
    """
    contents = []
    for code, _, start, _ in _sections(payload):
        if code == DATA:
            inner, _ = decode(payload, start)
            if not isinstance(inner, bytes):
                raise DecodeError("a batch holds binary data sections")
            contents.append(Content.parse(inner))
    if not contents:
        raise DecodeError("an empty batch")
    return contents


@dataclass(slots=True)
class Message:
    """One copy of a message in one queue, subscription or dead-letter queue. Instants are ms since the epoch."""

    content: Content
    sequence: int
    enqueue_sequence: int
    enqueued_at: int
    expires_at: int  # 0: never
    state: int = ACTIVE
    delivery_count: int = 0
    dead_letter_source: str | None = None
    locked_until: int = 0
    lock_token: bytes | None = None
    session_id: str | None = field(default=None)

    def encode(self, *, with_lock: bool) -> bytes:
        """The message as it goes to a receiver; `with_lock` adds the lock token and the end of the lock."""
        content = self.content
        ttl = wire.NULL if content.ttl_ms is None else wire.encode_uint(content.ttl_ms)
        durable = wire.TRUE if content.durable else wire.FALSE
        header = wire.encode_described(
            HEADER, [durable, wire.NULL, ttl, wire.NULL, wire.encode_uint(self.delivery_count)]
        )
        pairs = [
            content.annotations,
            _ENQUEUED_TIME + _LONG(self.enqueued_at),
            _SEQUENCE_NUMBER + _LONG(self.sequence),
            _ENQUEUE_SEQUENCE_NUMBER + _LONG(self.enqueue_sequence),
            _MESSAGE_STATE + bytes((self.state,)),
        ]
        count = content.annotation_count + 8
        lock = b""
        if with_lock and self.lock_token:
            pairs.append(_LOCKED_UNTIL + _LONG(self.locked_until))
            lock = _LOCK_TOKEN + network_order(self.lock_token)
            count += 2
        if self.dead_letter_source:
            pairs.append(_DEADLETTER_SOURCE + wire.encode_text(self.dead_letter_source))
            count += 2
        annotations = b"\x00\x53\x72" + wire.encode_map(b"".join(pairs), count)
        return b"".join((header, lock, annotations, content.bare))


def network_order(tag: bytes) -> bytes:
    """A lock token (delivery tag, .NET byte order) as the bytes of an AMQP uuid."""
    return tag[3::-1] + tag[5:3:-1] + tag[7:5:-1] + tag[8:]


def value_of(payload: bytes) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Properties, application properties and amqp-value body of a request message (`$cbs`, `$management`)."""
    properties: tuple[Any, ...] = ()
    application_properties: dict[str, Any] = {}
    body: Any = None
    for code, _, start, end in _sections(payload):
        if code == PROPERTIES:
            properties = _decode_properties(payload, start, end)
        elif code == APPLICATION_PROPERTIES:
            application_properties, _ = decode(payload, start)
        elif code == VALUE:
            body, _ = decode(payload, start)
    if not isinstance(application_properties, dict):
        raise DecodeError("application properties are not a map")
    return properties + (None,) * (13 - len(properties)), application_properties, body


def encode_reply(correlation_id: Any, application_properties: dict[str, Any], body: Any) -> bytes:
    """A reply whose correlation id keeps the type of the request's message id (the SDK compares types)."""
    nulls = [wire.NULL] * 5
    correlation = wire.encode(ULong(correlation_id) if type(correlation_id) is int else correlation_id)
    return b"".join(
        (
            wire.encode_described(PROPERTIES, [*nulls, correlation, *[wire.NULL] * 7]),
            b"\x00\x53\x74" + wire.encode(application_properties),
            b"\x00\x53\x77" + wire.encode(body),
        )
    )
