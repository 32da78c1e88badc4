"""Which messages a Service Bus trigger holds and when it starts an invocation; decisions only, nothing is awaited.

Takes received messages, gives the next batch to run (one message for cardinality one). Counts the credit that the SDK
has announced: those messages may come at any time, so they are taken and their locks kept alive even while no
invocation can start. Batches follow section 2.7 of the protocol notes: one in flight for each function.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.servicebus import ServiceBusReceivedMessage

FOREVER = float("inf")
_BATCH_GAP_SECONDS = 0.004  # a batch is closed when no further message came for this long
_CREDIT_LIMIT = 64


@dataclass(frozen=True)
class PumpOptions:
    """How one trigger receives."""

    max_concurrent: int  # invocations; 1 for batches
    max_batch: int  # messages of one invocation; 1 for cardinality one
    min_batch: int = 1
    max_batch_wait_seconds: float = 30.0
    auto_complete: bool = True
    max_renewal_seconds: float = 300.0

    @property
    def credit(self) -> int:
        """Messages asked for at a time; the SDK cannot ask for fewer than two ahead."""
        wanted = self.max_concurrent if self.max_batch == 1 else self.max_batch
        return max(2, min(wanted, _CREDIT_LIMIT))


class HeldMessage:
    """A message that this host has locked."""

    __slots__ = ("is_done", "message", "received", "renew_at", "succeeded")

    def __init__(self, message: ServiceBusReceivedMessage, now: float) -> None:
        self.message = message
        self.received = now
        self.is_done = False
        self.succeeded = False
        self.renew_at = FOREVER
        self.plan_renewal(now)

    def plan_renewal(self, now: float) -> None:
        """Renew after half of what is left of the lock."""
        locked_until = self.message.locked_until_utc
        if locked_until is not None:
            self.renew_at = now + max(0.2, (locked_until - datetime.now(UTC)).total_seconds() / 2)


class MessageBacklog:
    """The messages of one trigger, from reception to the start of their invocation."""

    def __init__(self, options: PumpOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self.waiting: deque[HeldMessage] = deque()
        self.credit_left = 0

    def wants_message(self, running: int) -> bool:
        """Whether to receive now, with that many invocations running."""
        if self.credit_left > 0:
            return True
        if self._options.max_batch > 1:
            return not running and len(self.waiting) < self._options.max_batch
        return running + len(self.waiting) < self._options.max_concurrent

    def open_credit(self) -> None:
        """Called before each receive: the SDK announces credit anew when it is used up."""
        if self.credit_left <= 0:
            self.credit_left = self._options.credit

    def add(self, message: ServiceBusReceivedMessage) -> HeldMessage:
        held = HeldMessage(message, self._clock())
        self.credit_left -= 1
        self.waiting.append(held)
        return held

    def next_batch(self, running: int) -> list[HeldMessage]:
        """What to start now; empty for nothing."""
        if self._options.max_batch > 1:
            is_due = self.seconds_to_next_batch(running) <= 0
            count = min(len(self.waiting), self._options.max_batch) if is_due else 0
        else:
            count = 1 if self.waiting and running < self._options.max_concurrent else 0
        return [self.waiting.popleft() for _ in range(count)]

    def seconds_to_next_batch(self, running: int) -> float:
        """How long to wait for one more message before the waiting batch is started."""
        if self._options.max_batch == 1 or not self.waiting or running:
            return FOREVER
        now = self._clock()
        if len(self.waiting) >= self._options.max_batch:
            return 0.0
        gap_left = self.waiting[-1].received + _BATCH_GAP_SECONDS - now
        if len(self.waiting) >= self._options.min_batch:
            return max(0.0, gap_left)
        return max(0.0, gap_left, self.waiting[0].received + self._options.max_batch_wait_seconds - now)
