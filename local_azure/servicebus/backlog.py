"""The messages of one queue, subscription or dead-letter queue, and who may have them.

Takes messages from an inlet, hands them to receivers in order of sequence number, keeps locks, delivery counts,
deferral and time to live, and moves what nobody could use to the dead-letter backlog. Message states:
https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement.
"""

import heapq
import os
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from local_azure.servicebus.inlet import Context, NotAllowed, Numbering, Origin
from local_azure.servicebus.message import ACTIVE, DEFERRED, Content, Message
from local_azure.servicebus.topology import QueueSettings

_COMPACT_ABOVE = 1000


class Receiver(Protocol):
    """A link with credit. `queued` belongs to the backlog: whether the receiver waits in its line."""

    queued: bool
    settles: bool  # False: receive and delete

    def wants_message(self) -> bool: ...

    def deliver(self, message: Message) -> None: ...

    def session_lost(self) -> None: ...


class Backlog:
    """One line of messages; see the module."""

    def __init__(
        self,
        path: str,
        settings: QueueSettings,
        context: Context,
        numbering: Numbering,
        *,
        dead_letters: "Backlog | None" = None,
        transfer_dead_letters: "Backlog | None" = None,
    ) -> None:
        self.path, self.settings = path, settings
        self.dead_letters, self.transfer_dead_letters = dead_letters, transfer_dead_letters
        self.messages: dict[int, Message] = {}
        self.locked: dict[bytes, Message] = {}
        self.scheduled: dict[int, Message] = {}  # the inlet's, for peeking
        self._context, self._numbering = context, numbering
        self._ready: list[int] = []
        self._line: deque[Receiver] = deque()
        self._lock_ends: deque[tuple[int, bytes]] = deque()
        self._expiries: list[tuple[int, int]] = []

    # Coming in

    def check(self, content: Content) -> None:
        """Refuse what this entity does not take."""
        if self.settings.requires_session and not content.session_id:
            raise NotAllowed("the SessionId was not set on a message that goes to an entity that requires sessions")

    def accept(self, content: Content, sequence: int, now: int, origin: Origin) -> None:
        """Append a message, or pass it on where this entity forwards to."""
        times_out = [ttl for ttl in (content.ttl_ms, self.settings.ttl_ms) if ttl]
        message = Message(
            content,
            sequence,
            sequence if origin.enqueue_sequence is None else origin.enqueue_sequence,
            now,
            now + min(times_out) if times_out else 0,
            dead_letter_source=origin.dead_letter_source,
            session_id=content.session_id if self.settings.requires_session else None,
        )
        if self.settings.forward_to:
            if (
                not self._context.forward(self.settings.forward_to, message, origin.hops + 1)
                and self.transfer_dead_letters
            ):
                self.transfer_dead_letters.adopt(_explained(message, "MaxTransferHopCountExceeded", ""))
            return
        self._context.store.put(self._numbering.entity, message)
        self.restore(message)
        self.pump()

    def accept_copy(self, content: Content, now: int, origin: Origin) -> None:
        """Append a topic's message under a sequence number of this subscription."""
        self.accept(content, self._numbering.take(), now, origin)

    def adopt(self, message: Message) -> None:
        """Take over a message from the entity this one is the dead-letter queue of, with its sequence number."""
        message.state, message.expires_at = ACTIVE, 0
        message.lock_token, message.locked_until, message.session_id = None, 0, None
        self._context.store.put(self._numbering.entity, message)
        self.restore(message)
        self.pump()

    def restore(self, message: Message) -> None:
        """Put a message in its place without storing it again."""
        self.messages[message.sequence] = message
        if message.state == ACTIVE:
            self._make_ready(message)
        if message.expires_at:
            if len(self._expiries) > 2 * len(self.messages) + _COMPACT_ABOVE:
                self._expiries = [entry for entry in self._expiries if entry[1] in self.messages]
                heapq.heapify(self._expiries)
            heapq.heappush(self._expiries, (message.expires_at, message.sequence))
            self._context.wake_at(message.expires_at)

    def _make_ready(self, message: Message) -> None:
        heapq.heappush(self._ready, message.sequence)

    # Going out

    def enlist(self, receiver: Receiver) -> None:
        """A receiver has credit: give it messages now or as they come."""
        if not receiver.queued:
            receiver.queued = True
            self._line.append(receiver)
        self.pump()

    def dismiss(self, receiver: Receiver) -> None:
        """The receiver is gone. Its locks stay until they end, as on the service."""
        if receiver.queued:
            receiver.queued = False
            self._line.remove(receiver)

    def pump(self) -> None:
        """Give ready messages to waiting receivers, one each in turn."""
        now = self._context.clock.now_ms() if self._line and self._ready else 0
        while self._line and self._ready:
            receiver = self._line[0]
            if not receiver.wants_message():
                receiver.queued = False
                self._line.popleft()
                continue
            message = self._next_ready(self._ready, now)
            if message is not None:
                self._hand_over(message, receiver, now + self.settings.lock_ms)
                self._line.rotate(-1)

    def _next_ready(self, ready: list[int], now: int) -> Message | None:
        """The first message of the heap, unless it was taken meanwhile or is past its time to live."""
        message = self.messages.get(heapq.heappop(ready))
        if message is None or message.state != ACTIVE or message.lock_token:
            return None
        if message.expires_at and message.expires_at <= now:
            self._expire(message)
            return None
        return message

    def _hand_over(self, message: Message, receiver: Receiver, locked_until: int) -> None:
        if receiver.settles:
            self.lock(message, locked_until)
        else:
            self._remove(message)
        receiver.deliver(message)

    def lock(self, message: Message, locked_until: int) -> None:
        message.lock_token, message.locked_until = os.urandom(16), locked_until
        self.locked[message.lock_token] = message
        self._lock_ends.append((locked_until, message.lock_token))
        self._context.wake_at(locked_until)

    def _remove(self, message: Message) -> None:
        del self.messages[message.sequence]
        self._context.store.delete(self._numbering.entity, message.sequence)
        while self._expiries and self._expiries[0][1] not in self.messages:
            heapq.heappop(self._expiries)

    # Settling; each answers whether the lock was still held

    def _unlock(self, token: bytes) -> Message | None:
        message = self.locked.get(token)
        if message is None or message.locked_until <= self._context.clock.now_ms():
            return None
        del self.locked[token]
        message.lock_token, message.locked_until = None, 0
        while self._lock_ends and self._lock_ends[0][1] not in self.locked:
            self._lock_ends.popleft()
        return message

    def complete(self, token: bytes) -> bool:
        message = self._unlock(token)
        if message is None:
            return False
        self._remove(message)
        return True

    def abandon(self, token: bytes, changes: dict[str, Any] | None = None) -> bool:
        message = self._unlock(token)
        if message is None:
            return False
        if changes:
            message.content = message.content.with_application_properties(changes)
        self._count_failure(message)
        self.pump()
        return True

    def release(self, token: bytes) -> bool:
        """Unlock as if the message had never been handed out."""
        message = self._unlock(token)
        if message is None:
            return False
        self._return(message)
        self.pump()
        return True

    def defer(self, token: bytes, changes: dict[str, Any] | None = None) -> bool:
        message = self._unlock(token)
        if message is None:
            return False
        if changes:
            message.content = message.content.with_application_properties(changes)
        message.state = DEFERRED
        message.delivery_count += 1
        self._context.store.put(self._numbering.entity, message)
        self._return(message)
        return True

    def dead_letter(self, token: bytes, explanation: dict[str, Any]) -> bool:
        """Move to the dead-letter queue; in a dead-letter queue itself it stays where it is, unlocked."""
        message = self._unlock(token)
        if message is None:
            return False
        if explanation:
            message.content = message.content.with_application_properties(explanation)
        if self.dead_letters is None:
            self._context.store.put(self._numbering.entity, message)
            self._return(message)
            self.pump()
        else:
            self._move_to_dead_letters(message)
        return True

    def renew(self, token: bytes) -> int | None:
        """The new end of the lock, or None when it is lost."""
        message, now = self.locked.get(token), self._context.clock.now_ms()
        if message is None or message.locked_until <= now:
            return None
        message.locked_until = now + self.settings.lock_ms
        self._lock_ends.append((message.locked_until, token))
        return message.locked_until

    def _return(self, message: Message) -> None:
        if message.expires_at and message.expires_at <= self._context.clock.now_ms():
            self._expire(message)
        elif message.state == ACTIVE:
            self._make_ready(message)

    def _count_failure(self, message: Message) -> None:
        message.delivery_count += 1
        if message.delivery_count >= self.settings.max_delivery_count and self.dead_letters is not None:
            attempts = f"Message could not be consumed after {message.delivery_count} delivery attempts."
            self._move_to_dead_letters(_explained(message, "MaxDeliveryCountExceeded", attempts))
            return
        self._context.store.put(self._numbering.entity, message)
        self._return(message)

    def _expire(self, message: Message) -> None:
        if not self.settings.dead_letter_on_expiration or self.dead_letters is None:
            self._remove(message)
            return
        text = "The message expired and was dead lettered."
        self._move_to_dead_letters(_explained(message, "TTLExpiredException", text))

    def _move_to_dead_letters(self, message: Message) -> None:
        target, dead_letters = self.settings.forward_dead_letters_to, self.dead_letters
        self._remove(message)
        message.dead_letter_source = self.path
        if dead_letters and not (target and self._context.forward(target, message, 1)):
            message.dead_letter_source = None
            dead_letters.adopt(message)

    # Looking and picking

    def peek(self, first_sequence: int, count: int, session_id: str | None) -> list[Message]:
        """Up to `count` messages in any state by sequence number; nothing is locked."""
        found = heapq.nsmallest(
            count,
            (
                message
                for source in (self.messages, self.scheduled)
                for sequence, message in source.items()
                if sequence >= first_sequence and (session_id is None or message.session_id == session_id)
            ),
            key=lambda message: message.sequence,
        )
        now = self._context.clock.now_ms()
        return [message for message in found if not message.expires_at or message.expires_at > now]

    def take_deferred(self, sequences: list[int], *, settles: bool) -> list[Message] | None:
        """The deferred messages of these numbers, locked or (without `settles`) removed; None if one is missing."""
        found = [self.messages.get(sequence) for sequence in sequences]
        taken = [message for message in found if message and message.state == DEFERRED and not message.lock_token]
        if len(taken) < len(sequences):
            return None
        for message in taken:
            if settles:
                self.lock(message, self._context.clock.now_ms() + self.settings.lock_ms)
            else:
                self._remove(message)
        return taken

    def run_due(self, now: int) -> int | None:
        """End locks and lives that are over; the instant of the next one."""
        for message in self._ended_locks(now):
            self.locked.pop(message.lock_token or b"", None)
            message.lock_token, message.locked_until = None, 0
            self._count_failure(message)
        while self._expiries and self._expiries[0][0] <= now:
            old = self.messages.get(heapq.heappop(self._expiries)[1])
            if old and not old.lock_token and old.expires_at and old.expires_at <= now:
                self._expire(old)
        self.pump()
        ends = [queue[0][0] for queue in (self._lock_ends, self._expiries) if queue]
        return min(ends) if ends else None

    def _ended_locks(self, now: int) -> Iterator[Message]:
        while self._lock_ends and self._lock_ends[0][0] <= now:
            message = self.locked.get(self._lock_ends.popleft()[1])
            if message is not None and message.locked_until <= now:
                yield message

    def depth(self) -> dict[str, int | None]:
        """Counts by state, and when the oldest waiting message was enqueued (ms)."""
        active = [message.enqueued_at for message in self.messages.values() if message.state == ACTIVE]
        return {
            "active": len(active),
            "locked": len(self.locked),
            "scheduled": len(self.scheduled),
            "deferred": len(self.messages) - len(active),
            "oldest_enqueued_ms": min(active, default=None),
        }


def _explained(message: Message, reason: str, description: str) -> Message:
    message.content = message.content.with_application_properties(
        {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
    )
    return message
