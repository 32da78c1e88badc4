"""Requests at `<entity>/$management`: scheduling, locks, deferred messages, peeking, session state.

Takes request messages (operation in the application properties, map in the body), gives replies with `statusCode`,
and `errorCondition` when it failed. Operations:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response. Rules are fixed by the
topology, so add-rule, remove-rule and enumerate-rules are absent.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_azure.servicebus import frames, settlement
from local_azure.servicebus.backlog import Backlog
from local_azure.servicebus.codec import DecodeError, Described, Int, Symbol, Timestamp
from local_azure.servicebus.encoding import Array
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.inlet import Inlet, NotAllowed
from local_azure.servicebus.message import Content, encode_reply, network_order, value_of
from local_azure.servicebus.sessions import SessionBacklog

if TYPE_CHECKING:
    from local_azure.servicebus.links import Intake
    from local_azure.servicebus.session import LinkSession

_PREFIX = "com.microsoft:"
_NO_FILTER_MS = 253_402_300_799_999  # DateTime.MaxValue: list sessions with messages
_MAX_PEEK_BYTES = 200_000
_OUTCOMES = {
    "completed": (frames.ACCEPTED, ()),
    "abandoned": (frames.MODIFIED, (True, False)),
    "defered": (frames.MODIFIED, (True, True)),  # sic, on the wire
}


class Failure(Exception):
    """The operation is answered with this status and condition."""

    def __init__(self, status: int, condition: str, text: str) -> None:
        super().__init__(text)
        self.status, self.condition = status, condition


@dataclass(frozen=True)
class _Entity:
    """What the request's node is: a queue has both sides, a topic only the first, a subscription the second."""

    path: str
    inlet: Inlet | None
    backlog: Backlog | None
    max_message_bytes: int

    def sending(self) -> Inlet:
        if self.inlet is None:
            raise Failure(400, "amqp:not-allowed", "the entity does not take messages")
        return self.inlet

    def receiving(self) -> Backlog:
        if self.backlog is None:
            raise Failure(400, "amqp:not-allowed", "the entity has no messages of its own")
        return self.backlog

    def in_sessions(self) -> SessionBacklog:
        if not isinstance(self.backlog, SessionBacklog):
            raise Failure(400, "amqp:not-allowed", "the entity does not use sessions")
        return self.backlog


def _session_of(body: dict[str, Any], backlog: Backlog) -> str | None:
    """The session a request names, which has to be held by somebody."""
    session_id = body.get("session-id")
    if session_id is None or not isinstance(backlog, SessionBacklog):
        return None
    if not backlog.holds(session_id):
        raise Failure(410, "com.microsoft:session-lock-lost", "The session lock has expired.")
    return str(session_id)


def _schedule(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    inlet = entity.sending()
    contents = []
    for item in body["messages"]:
        if len(item["message"]) > entity.max_message_bytes:
            raise Failure(400, "amqp:link:message-size-exceeded", "The message is larger than the entity takes.")
        contents.append(Content.parse(bytes(item["message"])))
    inlet.check(contents)
    return {"sequence-numbers": Array(inlet.schedule(content) for content in contents)}


def _cancel(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    inlet = entity.sending()
    sequences = list(body["sequence-numbers"])
    if not all(sequence in inlet.scheduled for sequence in sequences):
        raise Failure(404, _PREFIX + "message-not-found", f"No scheduled messages with the numbers {sequences}.")
    for sequence in sequences:
        inlet.cancel(sequence)
    return {}


def _renew(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    backlog = entity.receiving()
    ends = [backlog.renew(_token(token)) for token in body["lock-tokens"]]
    if None in ends:
        raise Failure(410, _PREFIX + "message-lock-lost", "The lock supplied is invalid.")
    return {"expirations": Array(Timestamp(end) for end in ends if end is not None)}


def _token(token: Any) -> bytes:
    if not isinstance(token, uuid.UUID):
        raise DecodeError("a lock token is a uuid")
    return token.bytes_le


def _update_disposition(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    backlog, status = entity.receiving(), body["disposition-status"]
    session_id = _session_of(body, backlog)
    if status == "suspended":
        info = {
            "DeadLetterReason": body.get("deadletter-reason") or "",
            "DeadLetterErrorDescription": body.get("deadletter-description") or "",
        }
        outcome = Described(frames.REJECTED, [Described(frames.ERROR, [Symbol("com.microsoft:dead-letter"), "", info])])
    elif status in _OUTCOMES:
        code, fields = _OUTCOMES[status]
        outcome = Described(code, list(fields))
    else:
        raise Failure(400, _PREFIX + "argument-error", f"unknown disposition {status!r}")
    answers = [
        settlement.settle(backlog, _token(token), outcome, session_id=session_id) for token in body["lock-tokens"]
    ]
    if any(settlement.is_lost(answer) for answer in answers):
        raise Failure(410, _PREFIX + "message-lock-lost", "The lock supplied is invalid.")
    return {}


def _receive_deferred(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    backlog = entity.receiving()
    _session_of(body, backlog)
    settles = body.get("receiver-settle-mode", 1) == 1
    messages = backlog.take_deferred(list(body["sequence-numbers"]), settles=settles)
    if messages is None:
        raise Failure(404, _PREFIX + "message-not-found", "Failed to lock one or more specified messages.")
    return {
        "messages": [
            {
                "message": message.encode(with_lock=settles),
                "lock-token": uuid.UUID(bytes=network_order(message.lock_token or bytes(16))),
            }
            for message in messages
        ]
    }


def _peek(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    count = max(0, min(int(body["message-count"]), 1000))
    found = entity.receiving().peek(int(body["from-sequence-number"]), count, body.get("session-id"))
    payloads: list[dict[str, Any]] = []
    size = 0
    for message in found:
        payload = message.encode(with_lock=False)
        size += len(payload)
        if payloads and size > _MAX_PEEK_BYTES:
            break
        payloads.append({"message": payload})
    if not payloads:
        raise Failure(204, _PREFIX + "message-not-found", "no message")
    return {"messages": payloads}


def _renew_session(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    ends = entity.in_sessions().renew_session(body["session-id"])
    if ends is None:
        raise Failure(410, _PREFIX + "session-lock-lost", "The session lock has expired.")
    return {"expiration": Timestamp(ends)}


def _get_state(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    backlog = entity.in_sessions()
    _session_of(body, backlog)
    return {"session-state": backlog.get_state(body["session-id"])}


def _set_state(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    backlog = entity.in_sessions()
    _session_of(body, backlog)
    state = body.get("session-state")
    if state is not None and (not isinstance(state, bytes) or len(state) > entity.max_message_bytes):
        raise Failure(400, _PREFIX + "argument-error", "the state is binary, at most as large as a message")
    backlog.set_state(body["session-id"], state)
    return {}


def _list_sessions(entity: _Entity, body: dict[str, Any]) -> dict[str, Any]:
    since = body.get("last-updated-time")
    sessions = entity.in_sessions().list_sessions(None if since is None or since >= _NO_FILTER_MS else int(since))
    skip, top = int(body.get("skip") or 0), int(body.get("top") or 100)
    page = sessions[skip : skip + top]
    if not page:
        raise Failure(204, _PREFIX + "session-not-found", "no session")
    return {"skip": Int(skip + len(page)), "sessions-ids": Array(page)}


_OPERATIONS: dict[str, Callable[[_Entity, dict[str, Any]], dict[str, Any]]] = {
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
    "renew-lock": _renew,
    "update-disposition": _update_disposition,
    "receive-by-sequence-number": _receive_deferred,
    "peek-message": _peek,
    "renew-session-lock": _renew_session,
    "get-session-state": _get_state,
    "set-session-state": _set_state,
    "get-message-sessions": _list_sessions,
}


def _perform(entity: _Entity, name: Any, body: Any) -> dict[str, Any]:
    operation = _OPERATIONS.get(str(name).removeprefix(_PREFIX))
    if operation is None:
        raise Failure(501, "amqp:not-implemented", f"operation {name} is not emulated")
    if not isinstance(body, dict):
        raise Failure(400, _PREFIX + "argument-error", "the body is a map")
    try:
        return operation(entity, body)
    except NotAllowed as error:
        raise Failure(400, "amqp:not-allowed", str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Failure(400, _PREFIX + "argument-error", f"malformed request: {error!r}") from error


def requests(session: "LinkSession", path: str) -> "Intake":
    """Serves the requests of a sender link to `path`, which ends in `/$management`.

    Raises:
        AmqpError: amqp:not-found, when there is no such entity.
    """
    node = path.casefold()
    name = path[: -len("/$management")]
    broker, limits = session.server.broker, session.server.limits
    entity = _Entity(name, broker.inlet(name), broker.backlog(name), limits.max_message_bytes)
    if entity.inlet is None and entity.backlog is None:
        raise AmqpError("amqp:not-found", f"The messaging entity '{name}' could not be found.")

    def intake(payload: bytes, _format: int) -> None:
        properties, request, body = value_of(payload)
        answer: dict[str, Any] = {"statusCode": Int(200), "statusDescription": "OK"}
        result: dict[str, Any] = {}
        try:
            session.server.faults.refuse_if_busy()
            result = _perform(entity, request.get("operation"), body)
        except Failure as failure:
            answer = _failed(failure.status, failure.condition, str(failure))
        except AmqpError as busy:
            answer = _failed(503, busy.condition, busy.description)
        session.reply(node, properties[4], encode_reply(properties[0], answer, result))

    return intake


def _failed(status: int, condition: str, text: str) -> dict[str, Any]:
    return {"statusCode": Int(status), "statusDescription": text, "errorCondition": Symbol(condition)}
