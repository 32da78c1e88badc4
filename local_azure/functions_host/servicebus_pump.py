"""One Service Bus trigger: receive, invoke, settle, renew locks, reconnect.

Takes one entity and a coroutine that runs the function with messages; gives completed or abandoned messages. The
SDK's asyncio receiver must not be used by two tasks at once: a settlement that waits for its outcome while another
task reads loses the frame to it and sleeps out its socket time-out (4x slower, measured). So one task owns the
receiver: it settles and renews one after another and receives in between; a finished invocation interrupts the wait.

Broker faults are logged once, the receiver is opened again with back-off, and what was in flight is settled on the
new link (the SDK falls back to ``$management`` with the lock token). A lost lock means redelivery: functions must be
idempotent.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageAlreadySettled,
    MessageLockLostError,
    MessageNotFoundError,
    MessagingEntityNotFoundError,
)

from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.servicebus_backlog import FOREVER, HeldMessage, MessageBacklog, PumpOptions
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
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0
_RECEIVE_SECONDS = 30.0
_GONE = (MessageLockLostError, MessageNotFoundError, MessageAlreadySettled)
# What the SDK raises when its connection vanishes under a call.
_AWAY = (AzureError, OSError, TimeoutError, ValueError, AttributeError)


class ServiceBusPump:
    """The listener of one function."""

    claim = ""

    def __init__(self, name: str, entity: Entity, options: PumpOptions, run_messages: RunMessages) -> None:
        self._name = name
        self._entity = entity
        self._options = options
        self._run_messages = run_messages
        self._backlog = MessageBacklog(options)
        self._held: set[HeldMessage] = set()  # waiting, running and unsettled
        self._unsettled: deque[HeldMessage] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._receiving: asyncio.Task[list[ServiceBusReceivedMessage]] | None = None
        self._attention = asyncio.Event()
        self._stopping = False
        self._told_away = False
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

    def describe(self) -> dict[str, Any]:
        return {
            "function": self._name,
            "entity": self._entity.path,
            "connected": self.is_connected,
            "running": len(self._running),
            "backlog": len(self._backlog.waiting),
            "unsettled": len(self._unsettled),
        }

    # The connection

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping:
            started = time.monotonic()
            try:
                await self._connect_and_serve()
            except _AWAY as error:
                self._note_away(error)
            except Exception:  # noqa: BLE001 - whatever it is, a trigger that stays silent would be worse
                _LOG.exception("%s: the receiver of %s failed unexpectedly", self._name, self._entity.path)
                self.is_connected = False
            else:
                continue
            if time.monotonic() - started > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _note_away(self, error: BaseException) -> None:
        if self.is_connected or not self._told_away:
            missing = "does not exist" if isinstance(error, MessagingEntityNotFoundError) else "is away"
            _LOG.warning("%s: %s %s: %s", self._name, self._entity.path, missing, _first_line(error))
        self._told_away = True
        self.is_connected = False

    def _note_there(self) -> None:
        if not self.is_connected:
            _LOG.info("%s: listening on %s", self._name, self._entity.path)
        self.is_connected = True

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
            self._note_there()
            self._backlog.credit_left = 0
            await self._serve(receiver)
        finally:
            with contextlib.suppress(*_AWAY):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await receiver.close()
                    await client.close()

    # The one task that uses the receiver

    async def _serve(self, receiver: ServiceBusReceiver) -> None:
        while True:
            self._attention.clear()
            self._start_invocations()  # before settling, so that the worker is busy meanwhile
            await self._settle(receiver)
            await self._renew(receiver)
            if self._stopping and not self._running:
                await self._give_back(receiver)
                return
            if self._attention.is_set():
                continue
            wait_seconds = self._seconds_to_next_duty()
            if not self._stopping and self._backlog.wants_message(len(self._running)):
                await self._receive_one(receiver, wait_seconds)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._attention.wait(), wait_seconds)

    def _seconds_to_next_duty(self) -> float:
        """Until a lock is to be renewed or a waiting batch to be started."""
        next_renewal = min((held.renew_at for held in self._held), default=FOREVER) - time.monotonic()
        next_batch = self._backlog.seconds_to_next_batch(len(self._running))
        return max(0.0, min(_RECEIVE_SECONDS, next_renewal, next_batch))

    async def _receive_one(self, receiver: ServiceBusReceiver, wait_seconds: float) -> None:
        self._backlog.open_credit()
        timer = asyncio.get_running_loop().call_later(wait_seconds, self._call_attention)
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
        self._held.update(self._backlog.add(message) for message in messages)

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

    # Invocations

    def _start_invocations(self) -> None:
        while not self._stopping and (batch := self._backlog.next_batch(len(self._running))):
            task = asyncio.create_task(self._invoke(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _invoke(self, batch: list[HeldMessage]) -> None:
        succeeded = False
        try:
            await self._run_messages([held.message for held in batch])
            succeeded = True
        except InvocationFailed:
            _LOG.debug("%s: %d messages go back to the broker", self._name, len(batch))  # the pool told why
        finally:
            for held in batch:
                held.is_done = True
                held.succeeded = succeeded
                self._unsettled.append(held)
            asyncio.get_running_loop().call_soon(self._call_attention)

    # Settlement and locks

    async def _settle(self, receiver: ServiceBusReceiver) -> None:
        gone: list[BaseException] = []
        while self._unsettled:
            held = self._unsettled[0]
            try:
                if not held.succeeded:
                    await receiver.abandon_message(held.message)
                elif self._options.auto_complete:
                    await receiver.complete_message(held.message)
            except _GONE as error:
                gone.append(error)
            self._unsettled.popleft()
            self._held.discard(held)
        if gone:
            _LOG.warning("%s: %d messages will come again: %s", self._name, len(gone), _first_line(gone[0]))

    async def _renew(self, receiver: ServiceBusReceiver) -> None:
        now = time.monotonic()
        for held in [held for held in self._held if held.renew_at <= now]:
            held.renew_at = FOREVER
            if held.is_done or now - held.received > self._options.max_renewal_seconds:
                continue
            try:
                await receiver.renew_message_lock(held.message)
                held.plan_renewal(time.monotonic())
            except _GONE as error:
                _LOG.warning("%s: lost the lock of message %s: %s", self._name, held.message.message_id, error)
                if held in self._backlog.waiting:  # not started: whoever gets it next runs it
                    self._backlog.waiting.remove(held)
                    self._held.discard(held)

    async def _give_back(self, receiver: ServiceBusReceiver) -> None:
        """On shutdown: what was received but not started."""
        self._unsettled.extend(self._backlog.waiting)
        self._backlog.waiting.clear()
        await self._settle(receiver)


def _first_line(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:200]
