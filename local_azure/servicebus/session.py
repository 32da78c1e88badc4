"""One AMQP session: handles, windows, delivery ids and settlement.

Takes the frames of one channel and gives attaches to `attaching`, transfers and flows to the links, dispositions to
the backlogs. Deliveries the peer sends are settled here, in ranges. Implements AMQP 1.0 part 2, sections 2.5 and 2.6.
"""

from typing import TYPE_CHECKING, Any

from local_azure.servicebus import frames
from local_azure.servicebus.attaching import attach
from local_azure.servicebus.codec import DecodeError
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.links import DeliveringLink, ReceivingLink, ReplyLink
from local_azure.servicebus.settlement import settle

if TYPE_CHECKING:
    from local_azure.servicebus.connection import Connection

Link = DeliveringLink | ReceivingLink | ReplyLink
_WRAP = 0xFFFFFFFF
_MANY_UNSETTLED = 10_000
_FIELD_COUNTS = {
    frames.ATTACH: 14,
    frames.FLOW: 11,
    frames.TRANSFER: 11,
    frames.DISPOSITION: 6,
    frames.DETACH: 3,
    frames.END: 1,
}


class LinkSession:
    """See the module."""

    def __init__(self, connection: "Connection", channel: int, *, window: int | None) -> None:
        self.connection, self.server, self.channel = connection, connection.server, channel
        self.links: dict[int, Link] = {}  # by the peer's handle, which is ours as well
        self.unsettled: dict[int, tuple[DeliveringLink, bytes]] = {}
        self._next_outgoing_id = 0
        self._delivery_id = 0
        self._next_incoming_id = 0
        self._window = window if isinstance(window, int) else 0
        self._accepted: list[int] = []
        self._window_closed = False

    def take(self, code: Any, fields: list[Any], body: bytes, behind: int) -> None:
        """Serve one performative; `behind` is where its payload starts."""
        wanted = _FIELD_COUNTS.get(code)
        if wanted is None:
            raise DecodeError("unknown performative")
        if len(fields) < wanted:
            fields = fields + [None] * (wanted - len(fields))
        if code == frames.TRANSFER:
            self._take_transfer(fields, body[behind:])
        elif code == frames.DISPOSITION:
            self._take_disposition(fields)
        elif code == frames.FLOW:
            self._take_flow(fields)
        elif code == frames.ATTACH:
            attach(self, fields)
        elif code == frames.DETACH:
            self._take_detach(fields)
        else:
            self._take_end()

    def send(self, body: bytes) -> None:
        self.connection.send(self.channel, body)

    def reply(self, node: str, address: Any, payload: bytes) -> None:
        """Send a node's reply to the link that was attached for it."""
        links = [link for link in self.links.values() if isinstance(link, ReplyLink) and link.node == node]
        for link in links:
            if link.address == address:
                link.reply(payload)
                return
        if links:
            links[-1].reply(payload)

    # Deliveries to us

    def _take_transfer(self, fields: list[Any], payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) & _WRAP
        link = self.links.get(fields[0])
        if isinstance(link, ReceivingLink):
            link.take_transfer(fields, payload)
        elif link is not None:
            raise AmqpError("amqp:not-allowed", "a transfer on a link that only sends")

    def accept(self, delivery_id: int) -> None:
        """The delivery is stored (by the time the answer leaves)."""
        self._accepted.append(delivery_id)
        self.server.flush_soon(self.connection)

    def answer(self, delivery_id: int, state: bytes) -> None:
        self.send(frames.disposition(delivery_id, delivery_id, state, we_receive=True))

    def settle_received(self) -> None:
        """Answer what was accepted since the last time, neighbours in one range."""
        if not self._accepted:
            return
        accepted, self._accepted = self._accepted, []
        first = last = accepted[0]
        for delivery_id in accepted[1:]:
            if delivery_id != last + 1:
                self.send(frames.disposition(first, last, frames.ACCEPTED_STATE, we_receive=True))
                first = delivery_id
            last = delivery_id
        self.send(frames.disposition(first, last, frames.ACCEPTED_STATE, we_receive=True))

    def grant(self, link: ReceivingLink, delivery_count: int, credit: int) -> None:
        """Tell the peer how much it may send."""
        self.send(
            frames.flow(
                self._next_incoming_id,
                self._next_outgoing_id,
                handle=link.handle,
                delivery_count=delivery_count,
                credit=credit,
            )
        )

    # Deliveries from us

    def window_open(self) -> bool:
        if self._window > 0:
            return True
        self._window_closed = True
        return False

    def deliver(self, handle: int, tag: bytes, payload: bytes, *, settled: bool) -> int:
        """Send a message in as many frames as the peer's frame size asks for; its delivery id."""
        delivery_id = self._delivery_id
        self._delivery_id = (delivery_id + 1) & _WRAP
        room = self.connection.peer_max_frame_size - 64
        start, more = 0, True
        while more:
            piece = payload[start : start + room]
            start += room
            more = start < len(payload)
            self.send(frames.transfer(handle, delivery_id, tag, settled=settled, more=more) + piece)
            self._next_outgoing_id = (self._next_outgoing_id + 1) & _WRAP
            self._window -= 1
        return delivery_id

    def remember(self, delivery_id: int, link: DeliveringLink, token: bytes) -> None:
        """Keep what a delivery id stands for until it is settled; who never settles must not fill the memory."""
        if len(self.unsettled) > _MANY_UNSETTLED and not delivery_id % 1000:
            lost = [number for number, (owner, old) in self.unsettled.items() if old not in owner.backlog.locked]
            for number in lost:
                del self.unsettled[number]
        self.unsettled[delivery_id] = (link, token)

    def refill(self) -> None:
        """Room again: let the links take what waits for them."""
        for link in list(self.links.values()):
            if not isinstance(link, ReceivingLink):
                link.resume()

    def _take_disposition(self, fields: list[Any]) -> None:
        is_receiver, first, last, settled, state, _ = fields
        if not is_receiver:
            return
        if not isinstance(first, int) or not isinstance(last, int | None):
            raise DecodeError("a disposition names deliveries")
        last = first if last is None else last
        if state is None and not settled:
            return
        if last - first < len(self.unsettled):
            ids = [delivery_id for delivery_id in range(first, last + 1) if delivery_id in self.unsettled]
        else:
            ids = [delivery_id for delivery_id in self.unsettled if first <= delivery_id <= last]
        for delivery_id in ids:
            link, token = self.unsettled.pop(delivery_id)
            answer = settle(link.backlog, token, state, session_id=link.session_id)
            if not settled:
                self.send(frames.disposition(delivery_id, delivery_id, answer, we_receive=False))
        self.server.flush_soon(self.connection)

    def _take_flow(self, fields: list[Any]) -> None:
        next_incoming_id, window, next_outgoing_id = fields[0], fields[1], fields[2]
        if isinstance(next_outgoing_id, int):
            self._next_incoming_id = next_outgoing_id
        if isinstance(window, int):
            in_flight = (self._next_outgoing_id - (next_incoming_id or 0)) & _WRAP
            self._window = window - in_flight
        if self._window_closed and self._window > 0:
            self._window_closed = False
            self.refill()
        handle = fields[4]
        if handle is None:
            if fields[9]:
                self.send(frames.flow(self._next_incoming_id, self._next_outgoing_id))
            return
        link = self.links.get(handle)
        if link is None or isinstance(link, ReceivingLink):
            return
        link.take_flow(delivery_count=fields[5] or 0, credit=fields[6] or 0, drain=bool(fields[8]))
        if isinstance(link, DeliveringLink | ReplyLink) and (fields[8] or fields[9]):
            self._answer_flow(link, drain=bool(fields[8]))

    def _answer_flow(self, link: DeliveringLink | ReplyLink, *, drain: bool) -> None:
        self.send(
            frames.flow(
                self._next_incoming_id,
                self._next_outgoing_id,
                handle=link.handle,
                delivery_count=link.delivery_count,
                credit=link.credit,
                drain=drain,
            )
        )

    # Ends

    def _take_detach(self, fields: list[Any]) -> None:
        link = self.links.pop(fields[0], None)
        if link is not None:
            self._forget(link)
            self.send(frames.detach(link.handle, closed=fields[1] is True))

    def detach(self, link: Link, error: AmqpError) -> None:
        """End a link from our side."""
        if self.links.pop(link.handle, None) is not None:
            self._forget(link)
            self.send(frames.detach(link.handle, error))

    def _forget(self, link: Link) -> None:
        link.drop()
        if isinstance(link, DeliveringLink):
            gone = [delivery_id for delivery_id, (owner, _) in self.unsettled.items() if owner is link]
            for delivery_id in gone:
                del self.unsettled[delivery_id]

    def _take_end(self) -> None:
        self.drop()
        self.send(frames.end())
        self.connection.forget_session(self.channel)

    def drop(self) -> None:
        """The session is over; its links leave the broker."""
        self.settle_received()
        for link in list(self.links.values()):
            link.drop()
        self.links.clear()
        self.unsettled.clear()
