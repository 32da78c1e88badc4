"""Where messages come in: numbering, duplicate detection and the schedule of a queue or topic.

Takes sent messages, gives them a sequence number now or when they are due, and hands them to `accept` (the queue's
backlog, or the fan-out of the topic). A scheduled message gets a new sequence number when it becomes active
(https://learn.microsoft.com/azure/service-bus-messaging/message-sequencing). A duplicate is acknowledged and dropped.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from local_azure.servicebus.clock import Clock
from local_azure.servicebus.message import SCHEDULED, Content, Message
from local_azure.servicebus.store import Store


class NotAllowed(Exception):
    """The entity does not take this message: AMQP condition `amqp:not-allowed`."""


class Forward(Protocol):
    """Publishes a message to another entity; False when the chain of forwards is too long or the target gone."""

    def __call__(self, target: str, message: Message, hops: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message was before it came to this entity."""

    hops: int = 0
    enqueue_sequence: int | None = None  # None: its own sequence number
    dead_letter_source: str | None = None


SENT = Origin()


@dataclass(frozen=True)
class Context:
    """What every entity needs from its surroundings."""

    clock: Clock
    store: Store
    wake_at: Callable[[int], None]
    forward: Forward


_RESERVED_NUMBERS = 1000


class Numbering:
    """Sequence numbers of one entity, which only ever grow.

    They are reserved in the store a thousand at a time, so that a single message costs one write and not two; after a
    kill the rest of the thousand is skipped.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.entity, self._next = store.entity(name)
        self._reserved = self._next

    def take(self) -> int:
        sequence = self._next
        self._next = sequence + 1
        if sequence >= self._reserved:
            self._reserved = sequence + _RESERVED_NUMBERS
            self._store.set_next_sequence(self.entity, self._reserved)
        return sequence

    def give_back(self) -> None:
        """Before a clean stop: the next start goes on without a gap."""
        if self._reserved != self._next:
            self._reserved = self._next
            self._store.set_next_sequence(self.entity, self._next)


class History:
    """Message ids of the duplicate-detection window."""

    def __init__(self, context: Context, entity: int, window_ms: int) -> None:
        self._context, self._entity, self._window_ms = context, entity, window_ms
        self._expires = context.store.load_history(entity, context.clock.now_ms()) if window_ms else {}

    def is_duplicate(self, message_id: str | None, now: int) -> bool:
        """Whether the id was seen within the window; if not it is remembered from now on."""
        if not self._window_ms or message_id is None:
            return False
        for oldest in self._over(now):
            del self._expires[oldest]
            self._context.store.forget(self._entity, oldest)
        if message_id in self._expires:
            return True
        self._expires[message_id] = now + self._window_ms
        self._context.store.remember(self._entity, message_id, now + self._window_ms)
        return False

    def _over(self, now: int) -> list[str]:
        over = []
        for message_id, expires in self._expires.items():  # insertion order is order of expiry
            if expires > now:
                break
            over.append(message_id)
        return over


class Inlet:
    """The sending side of a queue or topic."""

    def __init__(
        self,
        context: Context,
        numbering: Numbering,
        *,
        path: str,
        dedup_window_ms: int,
        accept: Callable[[Content, int, int, Origin], None],
        check: Callable[[Content], None] | None = None,
    ) -> None:
        self.path = path
        self._context, self._numbering, self._accept, self._check = context, numbering, accept, check
        self._history = History(context, numbering.entity, dedup_window_ms)
        self._due: list[tuple[int, int]] = []
        self.scheduled: dict[int, Message] = {}

    def check(self, contents: list[Content]) -> None:
        """Nothing, when all of them may be sent.

        Raises:
            NotAllowed: when one of them is refused; then none is sent.
        """
        if self._check:
            for content in contents:
                self._check(content)

    def send(self, content: Content) -> None:
        """Take a message that was checked: at once, or scheduled when its annotation says so."""
        now = self._context.clock.now_ms()
        if self._history.is_duplicate(content.message_id, now):
            return
        if content.scheduled_at > now:
            self._schedule(content, content.scheduled_at, now)
        else:
            self._accept(content, self._numbering.take(), now, SENT)

    def schedule(self, content: Content) -> int:
        """The sequence number that cancels the message; a duplicate gets one too, of nothing."""
        now = self._context.clock.now_ms()
        if self._history.is_duplicate(content.message_id, now):
            return self._numbering.take()
        return self._schedule(content, max(content.scheduled_at, now), now)

    def forwarded(self, message: Message, hops: int) -> None:
        """Take a message from another entity; it is delivered at once."""
        now = self._context.clock.now_ms()
        if not self._history.is_duplicate(message.content.message_id, now):
            origin = Origin(hops, message.enqueue_sequence, message.dead_letter_source)
            self._accept(message.content, self._numbering.take(), now, origin)

    def _schedule(self, content: Content, due: int, now: int) -> int:
        sequence = self._numbering.take()
        message = Message(content, sequence, sequence, due, 0, state=SCHEDULED, session_id=content.session_id)
        self._context.store.put(self._numbering.entity, message)
        self.restore(message)
        if due <= now:
            self.run_due(now)
        return sequence

    def restore(self, message: Message) -> None:
        """A scheduled message, new or from the store; its enqueued time is the instant it is due."""
        self.scheduled[message.sequence] = message
        heapq.heappush(self._due, (message.enqueued_at, message.sequence))
        self._context.wake_at(message.enqueued_at)

    def cancel(self, sequence: int) -> bool:
        """Whether the message was still scheduled."""
        if self.scheduled.pop(sequence, None) is None:
            return False
        self._context.store.delete(self._numbering.entity, sequence)
        return True

    def run_due(self, now: int) -> int | None:
        """Activate what is due; the instant of the next one."""
        while self._due and (self._due[0][0] <= now or self._due[0][1] not in self.scheduled):
            _, sequence = heapq.heappop(self._due)
            message = self.scheduled.pop(sequence, None)
            if message is not None:
                self._context.store.delete(self._numbering.entity, sequence)
                self._accept(message.content, self._numbering.take(), now, SENT)
        return self._due[0][0] if self._due else None
