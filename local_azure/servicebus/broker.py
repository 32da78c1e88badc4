"""All entities of the namespace, found by address, and the timer that keeps them on time.

Takes a topology, a store and a clock; gives `Inlet`s to send to and `Backlog`s to receive from. Fans topics out to
their subscriptions, follows forwards (at most four hops, as the service) and runs whatever is due.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from local_azure.servicebus.backlog import Backlog
from local_azure.servicebus.clock import Clock
from local_azure.servicebus.inlet import Context, Inlet, Numbering, Origin
from local_azure.servicebus.message import SCHEDULED, Content, Message
from local_azure.servicebus.sessions import SessionBacklog
from local_azure.servicebus.store import Store
from local_azure.servicebus.topology import QueueSettings, Subscription, Topic, Topology

_LOGGER = logging.getLogger(__name__)
_MAX_HOPS = 4
_DEAD_LETTERS, _TRANSFER_DEAD_LETTERS = "/$deadletterqueue", "/$transfer/$deadletterqueue"


@dataclass(frozen=True)
class _Outlet:
    """A subscription: its rules and its backlog."""

    definition: Subscription
    backlog: Backlog

    def wants(self, content: Content) -> bool:
        return any(matches(content) for _, matches in self.definition.rules)


class Broker:
    """The namespace; see the module."""

    def __init__(self, topology: Topology, store: Store, clock: Clock, commit: Callable[[], bool]) -> None:
        self.clock, self.store, self._commit = clock, store, commit
        self.inlets: dict[str, Inlet] = {}
        self.backlogs: dict[str, Backlog] = {}
        self._numberings: list[Numbering] = []
        self._wake_time: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context(clock=clock, store=store, wake_at=self._wake_at, forward=self._forward)
        for name, settings in topology.queues.items():
            self._add_queue(name, settings)
        for topic in topology.topics:
            self._add_topic(topic)
        clock.on_advance(self.run_due)

    def start(self) -> None:
        """Run what fell due while nobody was looking, and the timer from now on; needs a running loop."""
        self._loop = asyncio.get_running_loop()
        self.run_due()

    def stop(self) -> None:
        self._loop = None
        for numbering in self._numberings:
            numbering.give_back()
        if self._timer:
            self._timer.cancel()

    # Finding entities

    def inlet(self, address: str) -> Inlet | None:
        """Where a sender's target address leads; addresses are case-insensitive."""
        return self.inlets.get(address.strip("/").casefold())

    def backlog(self, address: str) -> Backlog | None:
        """Where a receiver's source address leads, dead-letter queues included."""
        return self.backlogs.get(address.strip("/").casefold())

    # Building

    def _number(self, name: str) -> Numbering:
        self._numberings.append(Numbering(self.store, name))
        return self._numberings[-1]

    def _new_backlog(self, path: str, settings: QueueSettings, numbering: Numbering) -> Backlog:
        dead_letters = self._side_queue(path, "$DeadLetterQueue", settings, _DEAD_LETTERS)
        transfer = self._side_queue(path, "$Transfer/$DeadLetterQueue", settings, _TRANSFER_DEAD_LETTERS)
        kind = SessionBacklog if settings.requires_session else Backlog
        backlog = kind(
            path, settings, self._context, numbering, dead_letters=dead_letters, transfer_dead_letters=transfer
        )
        self.backlogs[path.casefold()] = backlog
        return backlog

    def _side_queue(self, path: str, name: str, settings: QueueSettings, suffix: str) -> Backlog:
        numbering = self._number(path.casefold() + suffix)
        side = Backlog(f"{path}/{name}", QueueSettings(lock_ms=settings.lock_ms), self._context, numbering)
        for message in self.store.load_messages(numbering.entity):
            side.restore(message)
        self.backlogs[path.casefold() + suffix] = side
        return side

    def _add_queue(self, name: str, settings: QueueSettings) -> None:
        numbering = self._number(name.casefold())
        backlog = self._new_backlog(name, settings, numbering)
        inlet = Inlet(
            self._context,
            numbering,
            path=name,
            dedup_window_ms=settings.dedup_window_ms,
            accept=backlog.accept,
            check=backlog.check if settings.requires_session else None,
        )
        backlog.scheduled = inlet.scheduled
        self.inlets[name.casefold()] = inlet
        self._restore(numbering, inlet, backlog)

    def _add_topic(self, topic: Topic) -> None:
        outlets = []
        for subscription in topic.subscriptions:
            path = f"{topic.name}/Subscriptions/{subscription.name}"
            numbering = self._number(path.casefold())
            backlog = self._new_backlog(path, subscription.settings, numbering)
            self._restore(numbering, None, backlog)
            outlets.append(_Outlet(subscription, backlog))
        numbering = self._number(topic.name.casefold())
        inlet = Inlet(
            self._context,
            numbering,
            path=topic.name,
            dedup_window_ms=topic.dedup_window_ms,
            accept=_fan_out(topic, tuple(outlets)),
        )
        self.inlets[topic.name.casefold()] = inlet
        self._restore(numbering, inlet, None)

    def _restore(self, numbering: Numbering, inlet: Inlet | None, backlog: Backlog | None) -> None:
        for message in self.store.load_messages(numbering.entity):
            if message.state == SCHEDULED and inlet is not None:
                inlet.restore(message)
            elif backlog is not None:
                backlog.restore(message)

    def _forward(self, target: str, message: Message, hops: int) -> bool:
        inlet = self.inlet(target)
        if inlet is None or hops > _MAX_HOPS:
            return False
        inlet.forwarded(message, hops)
        return True

    # Keeping time

    def _wake_at(self, instant: int) -> None:
        if self._wake_time is not None and self._wake_time <= instant:
            return
        self._wake_time = instant
        if self._loop is not None:
            if self._timer:
                self._timer.cancel()
            # A little late is one wake-up for many deadlines; a little early would be one for nothing.
            delay = max(0, instant - self.clock.now_ms()) / 1000 + 0.003
            self._timer = self._loop.call_later(min(delay, 86_400), self.run_due)

    def run_due(self) -> None:
        """Scheduled messages, ends of locks, times to live: everything up to now."""
        if self._timer:
            self._timer.cancel()
        self._timer, self._wake_time = None, None
        now = self.clock.now_ms()
        entities: list[Inlet | Backlog] = [*self.inlets.values(), *self.backlogs.values()]
        for entity in entities:
            due = entity.run_due(now)
            if due is not None:
                self._wake_at(due)
        self._commit()


def _fan_out(topic: Topic, outlets: tuple[_Outlet, ...]) -> Callable[[Content, int, int, Origin], None]:
    def accept(content: Content, sequence: int, now: int, origin: Origin) -> None:
        wanted = [outlet for outlet in outlets if outlet.wants(content)]
        if topic.ttl_ms and (not content.ttl_ms or content.ttl_ms > topic.ttl_ms):
            content.ttl_ms = topic.ttl_ms
        if origin.enqueue_sequence is None:
            origin = replace(origin, enqueue_sequence=sequence)
        for outlet in wanted:
            outlet.backlog.accept_copy(content, now, origin)

    return accept
