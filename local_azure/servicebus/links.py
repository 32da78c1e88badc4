"""The three kinds of link a peer can have with the broker.

`ReceivingLink`: the peer sends messages or requests. `DeliveringLink`: the peer receives messages of a backlog.
`ReplyLink`: the peer receives the replies of `$cbs` or `$management`. Credit and drain follow AMQP 1.0 section 2.6.7;
credit is granted, not enforced, because the SDK assumes 10,000 whatever it is told.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local_azure.servicebus import frames
from local_azure.servicebus.backlog import Backlog
from local_azure.servicebus.codec import DecodeError
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.inlet import Inlet, NotAllowed
from local_azure.servicebus.message import BATCH_FORMAT, Content, Message, split_batch
from local_azure.servicebus.sessions import Session

if TYPE_CHECKING:
    from local_azure.servicebus.session import LinkSession

_LOGGER = logging.getLogger(__name__)
_CREDIT = 5000
_WRAP = 0xFFFFFFFF

# What becomes of a complete payload: nothing when it is accepted, AmqpError when it is refused.
Intake = Callable[[bytes, int], None]


class ReceivingLink:
    """Collects transfers to whole messages and answers each of them."""

    def __init__(self, session: "LinkSession", handle: int, intake: Intake, *, max_size: int) -> None:
        self.session, self.handle = session, handle
        self._intake, self._max_size = intake, max_size
        self._delivery_count = 0
        self._granted = 0
        self._delivery_id: int | None = None
        self._settled = False
        self._format = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._size = 0

    def start(self, delivery_count: int) -> None:
        self._delivery_count = delivery_count
        self._grant()

    def _grant(self) -> None:
        self._granted = _CREDIT
        self.session.grant(self, self._delivery_count, _CREDIT)

    def take_transfer(self, fields: list[Any], payload: bytes) -> None:
        if self._delivery_id is None:
            if not isinstance(fields[1], int):
                raise AmqpError("amqp:not-allowed", "the first transfer of a delivery has no delivery id")
            self._delivery_id, self._settled = fields[1], False
            self._format = fields[3] or 0
        self._settled = self._settled or fields[4] is True
        self._size += len(payload)
        if self._size <= self._max_size:
            self._parts.append(payload)
            if fields[5]:
                self._held += len(payload)
                self.session.connection.hold(len(payload))
        else:
            self._drop_parts()  # refused at the end; until then nothing of it is kept
        if fields[9]:
            self._reset()
        elif not fields[5]:
            self._complete()

    def _reset(self) -> None:
        self._drop_parts()
        self._delivery_id, self._size = None, 0

    def _drop_parts(self) -> None:
        self._parts = []
        if self._held:
            self.session.connection.hold(-self._held)
            self._held = 0

    def _complete(self) -> None:
        delivery_id, size = self._delivery_id or 0, self._size
        payload = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._reset()
        self._delivery_count = (self._delivery_count + 1) & _WRAP
        self._granted -= 1
        if self._granted < _CREDIT // 2:
            self._grant()
        refusal = self._judge(payload, size)
        if self._settled:
            return
        if refusal is None:
            self.session.accept(delivery_id)
        else:
            self.session.answer(delivery_id, frames.rejected(refusal.condition, refusal.description))

    def _judge(self, payload: bytes, size: int) -> AmqpError | None:
        try:
            if size > self._max_size:
                text = f"The received message (size:{size}) exceeds the limit ({self._max_size} bytes)."
                return AmqpError("amqp:link:message-size-exceeded", text)
            self._intake(payload, self._format)
        except AmqpError as refusal:
            return refusal
        except DecodeError as error:
            return AmqpError("amqp:decode-error", str(error))
        except NotAllowed as error:
            return AmqpError("amqp:not-allowed", str(error))
        return None

    def drop(self) -> None:
        self._reset()


def sending_to(session: "LinkSession", inlet: Inlet) -> Intake:
    """Messages go to an entity, one or a batch; a batch is taken whole or not at all."""

    def intake(payload: bytes, message_format: int) -> None:
        session.server.faults.refuse_if_busy()
        contents = split_batch(payload) if message_format == BATCH_FORMAT else [Content.parse(payload)]
        inlet.check(contents)
        for content in contents:
            inlet.send(content)

    return intake


class DeliveringLink:
    """A receiver of a backlog (`backlog.Receiver`)."""

    def __init__(
        self, session: "LinkSession", handle: int, backlog: Backlog, *, settles: bool, held: Session | None = None
    ) -> None:
        self.session, self.handle, self.backlog = session, handle, backlog
        self.settles, self.queued = settles, False
        self.credit = self.delivery_count = 0
        self.session_id = held.session_id if held else None
        self._tags = 0

    def wants_message(self) -> bool:
        return self.credit > 0 and self.session.window_open() and self.session.connection.takes_more()

    def deliver(self, message: Message) -> None:
        self.credit -= 1
        self.delivery_count = (self.delivery_count + 1) & _WRAP
        if message.lock_token is None:
            self._tags += 1
            tag = self._tags.to_bytes(16, "big")
        else:
            tag = message.lock_token
        payload = message.encode(with_lock=self.settles)
        delivery_id = self.session.deliver(self.handle, tag, payload, settled=not self.settles)
        if self.settles:
            self.session.remember(delivery_id, self, tag)

    def take_flow(self, *, delivery_count: int, credit: int, drain: bool) -> None:
        self.credit = _left(delivery_count, credit, self.delivery_count)
        self.resume()
        if drain and self.credit:
            self.delivery_count = (self.delivery_count + self.credit) & _WRAP
            self.credit = 0

    def resume(self) -> None:
        if self.credit > 0:
            self.backlog.enlist(self)

    def session_lost(self) -> None:
        """The session's lock ended: the link goes, as the service does it."""
        self.session.detach(self, AmqpError("com.microsoft:session-lock-lost", "The session lock has expired."))

    def drop(self) -> None:
        self.credit = 0
        self.backlog.dismiss(self)


def _left(receiver_count: int, credit: int, our_count: int) -> int:
    """Credit that is left: deliveries under way when the receiver granted it count against it."""
    under_way = (our_count - receiver_count) & _WRAP
    return max(0, credit - under_way) if under_way < 0x80000000 else credit


class ReplyLink:
    """Replies of a node, in order, as credit allows."""

    def __init__(self, session: "LinkSession", handle: int, node: str, address: str) -> None:
        self.session, self.handle, self.node, self.address = session, handle, node, address
        self.credit = self.delivery_count = 0
        self._waiting: deque[bytes] = deque()

    def reply(self, payload: bytes) -> None:
        self._waiting.append(payload)
        self.resume()

    def take_flow(self, *, delivery_count: int, credit: int, drain: bool) -> None:
        self.credit = _left(delivery_count, credit, self.delivery_count)
        self.resume()
        if drain:
            self.delivery_count = (self.delivery_count + self.credit) & _WRAP
            self.credit = 0

    def resume(self) -> None:
        while self._waiting and self.credit > 0:
            self.credit -= 1
            self.delivery_count = (self.delivery_count + 1) & _WRAP
            tag = self.delivery_count.to_bytes(16, "big")
            self.session.deliver(self.handle, tag, self._waiting.popleft(), settled=True)

    def drop(self) -> None:
        self._waiting.clear()
