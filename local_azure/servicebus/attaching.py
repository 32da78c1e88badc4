"""Attach: which link a peer gets, or why not.

Takes the fields of an attach and gives the session a link to an entity, `$cbs` or `$management`. A refusal is an
attach without source and target followed by a detach with the error, as AMQP 1.0 section 2.6.3 asks.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from local_azure.servicebus import cbs, frames, management
from local_azure.servicebus import encoding as wire
from local_azure.servicebus.backlog import Backlog
from local_azure.servicebus.codec import DecodeError, Described, Symbol
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.links import DeliveringLink, ReceivingLink, ReplyLink, sending_to
from local_azure.servicebus.sessions import Session, SessionBacklog, SessionTaken

if TYPE_CHECKING:
    from local_azure.servicebus.session import LinkSession

SESSION_FILTER = "com.microsoft:session-filter"
_MANAGEMENT = "/$management"
_DEFAULT_SESSION_WAIT_MS = 60_000
_TICKS_AT_EPOCH = 621_355_968_000_000_000  # .NET ticks (100 ns since the year 1)


@dataclass(frozen=True)
class _Request:
    """A decoded attach."""

    name: str
    handle: int
    peer_sends: bool
    snd_settle_mode: int
    rcv_settle_mode: int
    source: str
    target: str
    filters: dict[Any, Any]
    delivery_count: int
    properties: dict[Any, Any]

    def answer(self, **changes: Any) -> frames.Attach:
        plain = frames.Attach(self.name, self.handle, self.peer_sends, self.snd_settle_mode, self.rcv_settle_mode)
        return replace(plain, **changes)


def _terminus(value: Any) -> tuple[str, dict[Any, Any]]:
    """Address and filters of a source or target."""
    if not isinstance(value, Described) or not isinstance(value.value, list):
        return "", {}
    if value.descriptor == frames.COORDINATOR:
        raise AmqpError("amqp:not-implemented", "transactions are not emulated")
    address = value.value[0] if value.value else None
    filters = value.value[7] if len(value.value) > 7 else None
    return (address if isinstance(address, str) else ""), (filters if isinstance(filters, dict) else {})


def _decode(fields: list[Any]) -> _Request:
    if not isinstance(fields[0], str) or not isinstance(fields[1], int):
        raise DecodeError("an attach has a name and a handle")
    source, filters = _terminus(fields[5])
    target, _ = _terminus(fields[6])
    return _Request(
        name=fields[0],
        handle=fields[1],
        peer_sends=fields[2] is False,
        snd_settle_mode=fields[3] if fields[3] in (0, 1) else 0 if fields[2] else 2,
        rcv_settle_mode=1 if fields[4] == 1 else 0,
        source=source,
        target=target,
        filters=filters,
        delivery_count=fields[9] if isinstance(fields[9], int) else 0,
        properties=fields[13] if isinstance(fields[13], dict) else {},
    )


def node_path(address: str) -> str:
    """The entity path of an address, which the SDK gives as a URI with any scheme and authority."""
    _, scheme, rest = address.partition("://")
    path = rest.partition("/")[2] if scheme else address
    return path.strip("/")


def attach(session: "LinkSession", fields: list[Any]) -> None:
    """Serve an attach; a refusal ends the link only.

    Raises:
        AmqpError: when the peer breaks the protocol, so that the connection has to end.
    """
    request = _decode(fields)
    if request.handle in session.links or request.handle >= session.server.limits.max_links:
        raise AmqpError("amqp:session:handle-in-use", "the handle is in use or above handle-max")
    try:
        session.server.faults.refuse_if_busy()
        if request.peer_sends:
            _attach_sender(session, request, node_path(request.target))
        else:
            _attach_receiver(session, request, node_path(request.source))
    except AmqpError as error:
        _refuse(session, request, error)


def _refuse(session: "LinkSession", request: _Request, error: AmqpError) -> None:
    session.send(request.answer().encode())
    session.send(frames.detach(request.handle, error))


def _attach_sender(session: "LinkSession", request: _Request, path: str) -> None:
    limits = session.server.limits
    folded = path.casefold()
    if folded == "$cbs":
        intake = cbs.requests(session)
    elif folded.endswith(_MANAGEMENT):
        session.connection.grants.check(path)
        intake = management.requests(session, path)
    else:
        session.connection.grants.check(path)
        inlet = session.server.broker.inlet(path)
        if inlet is None:
            raise _not_found(session, path)
        intake = sending_to(session, inlet)
    # Requests carry a message each, so they may be a little larger than the largest message.
    link = ReceivingLink(session, request.handle, intake, max_size=limits.max_message_bytes + 4096)
    session.links[request.handle] = link
    answer = request.answer(
        source=frames.source(request.source),
        target=frames.target(request.target),
        max_message_size=limits.max_message_bytes,
    )
    session.send(answer.encode())
    link.start(request.delivery_count)


def _attach_receiver(session: "LinkSession", request: _Request, path: str) -> None:
    folded = path.casefold()
    if folded == "$cbs" or folded.endswith(_MANAGEMENT):
        if folded != "$cbs":
            session.connection.grants.check(path)
        session.links[request.handle] = ReplyLink(session, request.handle, folded, request.target)
        _confirm(session, request)
        return
    session.connection.grants.check(path)
    backlog = session.server.broker.backlog(path)
    if backlog is None:
        raise _not_found(session, path)
    wants_session = SESSION_FILTER in request.filters
    if isinstance(backlog, SessionBacklog) != wants_session:
        need = "requires sessions" if isinstance(backlog, SessionBacklog) else "does not use sessions"
        raise AmqpError("amqp:not-allowed", f"the entity {path} {need}")
    if isinstance(backlog, SessionBacklog):
        _attach_to_session(session, request, backlog)
        return
    session.links[request.handle] = _delivering(session, request, backlog)
    _confirm(session, request)


def _delivering(session: "LinkSession", request: _Request, backlog: Backlog) -> DeliveringLink:
    return DeliveringLink(session, request.handle, backlog, settles=request.snd_settle_mode != 1)


def _confirm(session: "LinkSession", request: _Request, **changes: Any) -> None:
    answer = {"source": frames.source(request.source), **changes}
    size = session.server.limits.max_message_bytes
    session.send(request.answer(target=frames.target(request.target), max_message_size=size, **answer).encode())


def _attach_to_session(session: "LinkSession", request: _Request, backlog: SessionBacklog) -> None:
    wanted = request.filters[SESSION_FILTER]
    wanted = wanted.value if isinstance(wanted, Described) else wanted
    link = _delivering(session, request, backlog)
    if wanted is None:
        held = backlog.next_session(link)
        if held is None:
            _wait(session, request, backlog, link)
            return
    else:
        try:
            held = backlog.accept_session(str(wanted), link)
        except SessionTaken as error:
            text = f"The requested session '{wanted}' cannot be accepted. It may be locked by another receiver."
            raise AmqpError("com.microsoft:session-cannot-be-locked", text) from error
    _grant(session, request, link, held)


def _grant(session: "LinkSession", request: _Request, link: DeliveringLink, held: Session) -> None:
    link.session_id = held.session_id
    session.links[request.handle] = link
    filters = {Symbol(SESSION_FILTER): held.session_id}
    ticks = held.locked_until * 10_000 + _TICKS_AT_EPOCH
    _confirm(
        session,
        request,
        source=frames.source(request.source, filters),
        properties=wire.encode({Symbol("com.microsoft:locked-until-utc"): ticks}),
    )
    link.resume()


def _wait(session: "LinkSession", request: _Request, backlog: SessionBacklog, link: DeliveringLink) -> None:
    waiting = _SessionWait(session, request, backlog, link)
    session.links[request.handle] = waiting  # type: ignore[assignment]
    backlog.wait_for_session(waiting)
    timeout = request.properties.get("com.microsoft:timeout")
    waiting.start(timeout if isinstance(timeout, int) else _DEFAULT_SESSION_WAIT_MS)


class _SessionWait:
    """Holds the place of a link whose attach is answered when a session is free, or with a time-out."""

    def __init__(
        self, session: "LinkSession", request: _Request, backlog: SessionBacklog, link: DeliveringLink
    ) -> None:
        self.handle = request.handle
        self._session, self._request, self._backlog, self._link = session, request, backlog, link
        self._timer: asyncio.TimerHandle | None = None

    def start(self, timeout_ms: int) -> None:
        self._timer = self._session.server.loop.call_later(timeout_ms / 1000, self._give_up)

    def session_granted(self, held: Session) -> None:
        self.drop()
        self._backlog.grant(held, self._link)
        _grant(self._session, self._request, self._link, held)

    def _give_up(self) -> None:
        self.drop()
        self._session.links.pop(self.handle, None)
        _refuse(
            self._session,
            self._request,
            AmqpError("com.microsoft:timeout", "No session became available within the time allowed."),
        )

    def take_flow(self, *, delivery_count: int, credit: int, drain: bool) -> None:
        """Credit that comes early counts once the session is there."""
        self._link.take_flow(delivery_count=delivery_count, credit=credit, drain=drain)

    def resume(self) -> None:
        """Nothing waits here for room."""

    def drop(self) -> None:
        self._backlog.stop_waiting(self)
        if self._timer:
            self._timer.cancel()


def _not_found(session: "LinkSession", path: str) -> AmqpError:
    text = f"The messaging entity '{session.server.container_id}/{path}' could not be found."
    return AmqpError("amqp:not-found", text)
