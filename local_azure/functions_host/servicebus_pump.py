"""One Service Bus trigger: receive, invoke, settle, renew locks, reconnect.

Takes one entity and a coroutine that runs the function with messages; gives completed or abandoned messages. The
SDK's asyncio receiver must not be used by two tasks at once: a settlement that waits for its outcome while another
task reads loses the frame to it and sleeps out its socket time-out (4x slower, measured). So one task owns the
receiver: it settles and renews one after another and receives in between; a finished invocation interrupts the wait.

Broker faults are logged once, the receiver is opened again with back-off, and what was in flight is settled on the new
link (the SDK falls back to ``$management`` with the lock token). A lost lock means redelivery: functions are idempotent.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.servicebus_connection import (
    RECEIVER_SOCKET_SECONDS,
    Entity,
    make_client,
    open_receiver,
)

_LOG = logging.getLogger("host.servicebus")

RunMessages = Callable[[list[ServiceBusReceivedMessage]], Awaitable[None]]

_OPEN_SECONDS = 10.0
_CLOSE_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 3.0
_RECEIVE_SECONDS = 30.0
_BATCH_GAP_SECONDS = 0.004  # a batch is closed when no further message came for this long
_CREDIT_LIMIT = 64
_GONE = (MessageLockLostError, MessageNotFoundError, MessageAlreadySettled)


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
        wanted = self.max_concurrent if self.max_batch == 1 else self.max_batch
        return max(2, min(wanted, _CREDIT_LIMIT))


class _Held:
    """A message that this host has locked."""

    __slots__ = ("is_done", "message", "received", "renew_at", "succeeded")

    def __init__(self, message: ServiceBusReceivedMessage) -> None:
        self.message = message
        self.received = time.monotonic()
        self.renew_at = self.received + _half_of_lock(message)
        self.is_done = False
        self.succeeded = False


def _half_of_lock(message: ServiceBusReceivedMessage) -> float:
    locked_until = message.locked_until_utc
    if locked_until is None:
        return float("inf")
    return max(0.2, (locked_until - datetime.now(UTC)).total_seconds() / 2)


class ServiceBusPump:
    """The listener of one function."""

    def __init__(self, name: str, entity: Entity, options: PumpOptions, run_messages: RunMessages) -> None:
        self._name = name
        self._entity = entity
        self._options = options
        self._run_messages = run_messages
        self._held: dict[int, _Held] = {}  # by sequence number: backlog, running and unsettled
        self._backlog: deque[_Held] = deque()
        self._unsettled: deque[_Held] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._credit_left = 0
        self._receiving: asyncio.Task[list[ServiceBusReceivedMessage]] | None = None
        self._attention = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self.is_connected = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"servicebus {self._name}")

    async def stop(self, drain_seconds: float) -> None:
        """Stop receiving, wait for what runs, abandon the rest."""
        self._stopping = True
        self._call_attention()
        if self._running:
            await asyncio.wait(self._running, timeout=drain_seconds)
        for invocation in self._running:
            invocation.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=_CLOSE_SECONDS + 0.5)
            for task in late:
                task.cancel()

    # --- connection -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        told = False
        while not self._stopping:
            started = time.monotonic()
            try:
                await self._connect_and_serve()
            except (AzureError, ServiceBusError, OSError, ValueError, TimeoutError, AttributeError) as error:
                # The SDK raises ValueError and AttributeError when its connection vanishes under a call.
                if self.is_connected or not told:
                    _LOG.warning("%s: %s is away: %s", self._name, self._entity.path, _first_line(error))
                    told = True
                self.is_connected = False
                if time.monotonic() - started > _LONGEST_PAUSE_SECONDS:
                    pause = _FIRST_PAUSE_SECONDS
                if isinstance(error, MessagingEntityNotFoundError):
                    pause = _LONGEST_PAUSE_SECONDS
                await self._pause(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._attention.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._attention.wait(), left)

    async def _connect_and_serve(self) -> None:
        client = make_client(self._entity.connection, socket_timeout=RECEIVER_SOCKET_SECONDS)
        receiver = open_receiver(client, self._entity, self._options.credit)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await receiver.__aenter__()
            if not self.is_connected:
                _LOG.info("%s: listening on %s", self._name, self._entity.path)
            self.is_connected = True
            self._credit_left = 0
            await self._serve(receiver)
        finally:
            with contextlib.suppress(TimeoutError, AzureError, ServiceBusError, OSError, ValueError, AttributeError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await receiver.close()
                    await client.close()

    # --- the one task that uses the receiver --------------------------------------------------------------------

    async def _serve(self, receiver: ServiceBusReceiver) -> None:
        while True:
            self._attention.clear()
            await self._settle(receiver)
            await self._renew(receiver)
            if self._stopping and not self._running:
                await self._give_back(receiver)
                return
            self._start_invocations()
            if self._attention.is_set():
                continue
            if self._wants_message():
                await self._receive_one(receiver, self._seconds_to_next_renewal())
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._attention.wait(), self._seconds_to_next_renewal())

    def _wants_message(self) -> bool:
        if self._stopping:
            return False
        if self._credit_left > 0:  # the broker may send these at any time: take them and keep their locks alive
            return True
        if self._options.max_batch > 1:
            return not self._running and len(self._backlog) < self._options.max_batch
        return len(self._running) + len(self._backlog) < self._options.max_concurrent

    async def _receive_one(self, receiver: ServiceBusReceiver, wait_seconds: float) -> None:
        if self._credit_left <= 0:
            self._credit_left = self._options.credit
        timer = asyncio.get_running_loop().call_later(
            min(wait_seconds, self._seconds_to_next_batch()), self._call_attention
        )
        self._receiving = asyncio.ensure_future(receiver.receive_messages(1, _RECEIVE_SECONDS))
        try:
            messages = await self._receiving
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            messages = []
        finally:
            timer.cancel()
            self._receiving = None
        for message in messages:
            self._credit_left -= 1
            held = _Held(message)
            self._held[id(held)] = held
            self._backlog.append(held)

    def _seconds_to_next_batch(self) -> float:
        """How long to wait for one more message before the waiting batch is started; 0 when it is due."""
        if self._options.max_batch == 1 or not self._backlog or self._running:
            return _RECEIVE_SECONDS
        now = time.monotonic()
        if len(self._backlog) >= self._options.max_batch:
            return 0.0
        gap_left = self._backlog[-1].received + _BATCH_GAP_SECONDS - now
        if len(self._backlog) >= self._options.min_batch:
            return max(0.0, gap_left)
        return max(0.0, gap_left, self._backlog[0].received + self._options.max_batch_wait_seconds - now)

    def _call_attention(self) -> None:
        """Wake the owner of the receiver; a pending receive is cancelled, which loses nothing."""
        self._attention.set()
        receiving = self._receiving
        if receiving is not None and not receiving.done():
            receiving.cancel()
            # Python 3.11's wait_for may swallow a cancellation that meets a frame: ask again.
            asyncio.get_running_loop().call_later(0.02, self._cancel_again, receiving)

    def _cancel_again(self, receiving: asyncio.Task[Any]) -> None:
        if receiving is self._receiving and self._attention.is_set() and not receiving.done():
            self._call_attention()

    # --- invocations ---------------------------------------------------------------------------------------------

    def _start_invocations(self) -> None:
        if self._stopping:
            return
        if self._options.max_batch > 1:
            if self._seconds_to_next_batch() == 0.0:
                count = min(len(self._backlog), self._options.max_batch)
                self._start([self._backlog.popleft() for _ in range(count)])
            return
        while self._backlog and len(self._running) < self._options.max_concurrent:
            self._start([self._backlog.popleft()])

    def _start(self, batch: list[_Held]) -> None:
        task = asyncio.create_task(self._invoke(batch))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _invoke(self, batch: list[_Held]) -> None:
        succeeded = False
        try:
            await self._run_messages([held.message for held in batch])
            succeeded = True
        except InvocationFailed:
            pass  # already logged and counted by the pool; the messages go back to the broker
        finally:
            for held in batch:
                held.is_done = True
                held.succeeded = succeeded
                self._unsettled.append(held)
            asyncio.get_running_loop().call_soon(self._call_attention)

    # --- settlement and locks ---------------------------------------------------------------------------------

    async def _settle(self, receiver: ServiceBusReceiver) -> None:
        while self._unsettled:
            held = self._unsettled[0]
            try:
                await self._settle_one(receiver, held)
            except _GONE as error:
                _LOG.warning(
                    "%s: message %s not settled, it will come again: %s",
                    self._name,
                    held.message.message_id,
                    _first_line(error),
                )
            self._unsettled.popleft()
            self._held.pop(id(held), None)

    async def _settle_one(self, receiver: ServiceBusReceiver, held: _Held) -> None:
        if not held.succeeded:
            await receiver.abandon_message(held.message)
        elif self._options.auto_complete:
            await receiver.complete_message(held.message)

    def _seconds_to_next_renewal(self) -> float:
        if not self._held:
            return _RECEIVE_SECONDS
        return max(0.0, min(_RECEIVE_SECONDS, min(held.renew_at for held in self._held.values()) - time.monotonic()))

    async def _renew(self, receiver: ServiceBusReceiver) -> None:
        now = time.monotonic()
        for held in [held for held in self._held.values() if held.renew_at <= now]:
            if held.is_done or now - held.received > self._options.max_renewal_seconds:
                held.renew_at = float("inf")
                continue
            try:
                await receiver.renew_message_lock(held.message)
            except _GONE as error:
                _LOG.warning("%s: lost the lock of message %s: %s", self._name, held.message.message_id, error)
                held.renew_at = float("inf")
                with contextlib.suppress(ValueError):
                    self._backlog.remove(held)  # not started yet: whoever gets it next runs it
                    self._held.pop(id(held), None)
            else:
                held.renew_at = time.monotonic() + _half_of_lock(held.message)

    async def _give_back(self, receiver: ServiceBusReceiver) -> None:
        """On shutdown: what was received but not started."""
        await self._settle(receiver)
        while self._backlog:
            self._unsettled.append(self._backlog.popleft())
        await self._settle(receiver)

    def describe(self) -> dict[str, Any]:
        return {
            "function": self._name,
            "entity": self._entity.path,
            "connected": self.is_connected,
            "running": len(self._running),
            "backlog": len(self._backlog),
            "unsettled": len(self._unsettled),
        }


def _first_line(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
