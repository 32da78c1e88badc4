"""What goes on around the app: the broker delivers, the sweeper runs, orchestrations wake, providers post receipts, the
change feed shows what changed.

``quiesce`` lets all of it happen, over and over, until nothing is left that could.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.events import BusMessage, NotificationStatus, NotificationSubmitted
from shared.domain.errors import CnsError
from shared.domain.identifiers import TrackingId
from shared.domain.receipt import Receipt, ReceiptKind
from shared.pipeline.changes import follow_changes
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.recover import sweep
from shared.pipeline.retry import continue_retries
from shared.pipeline.services import STATUS, SUBMITTED
from shared.pipeline.shadow import deliver_as_decided
from shared.pipeline.track import track
from shared.ports import OutboundMessage, ReceiptRequest
from tests.fakes.steps import Crash
from tests.fakes.world import World

MAX_ROUNDS = 500
MAX_DELIVERIES = 10


class Woken:
    """Waiters: remembers who was woken."""

    def __init__(self) -> None:
        self.settled: list[TrackingId] = []

    async def settle(self, tracking_id: TrackingId) -> None:
        self.settled.append(tracking_id)


class RealWorld:
    """``receipts`` is what the provider says of every attempt it accepted; None when it says nothing.

    It may differ by channel. Without ``feed`` the change feed shows nothing, as if its function were down.
    """

    def __init__(
        self,
        world: World,
        receipts: ReceiptKind | Mapping[str, ReceiptKind] | None = ReceiptKind.DELIVERED,
        *,
        feed: bool = True,
    ) -> None:
        self.world = world
        self.receipts = receipts
        self.waiters = Woken()
        self._has_feed = feed
        self._shown: dict[tuple[str, str], str] = {}
        self.dead: list[BusMessage] = []
        self._reported: set[str] = set()

    async def quiesce(self) -> None:
        for _ in range(MAX_ROUNDS):
            await self._drain()
            next_event = self._next_event()
            if next_event is None:
                return
            await self._happen(next_event)
        raise AssertionError("it never comes to rest")

    async def _happen(self, at: datetime) -> None:
        self.world.clock.advance_to(at)
        self.world.clock.advance(timedelta(milliseconds=1))
        await self._tolerate(sweep(self.world.services))
        await self._tolerate(self.world.orchestrations.run_due(self.world.clock.now(), self.world.services))
        await self._post_receipts()

    async def live_for(self, duration: timedelta) -> None:
        """Everything that happens within ``duration`` has happened, and the clock stands at its end."""
        end = self.world.clock.now() + duration
        for _ in range(MAX_ROUNDS):
            await self._drain()
            next_event = self._next_event()
            if next_event is None or next_event >= end:
                self.world.clock.advance_to(end)
                return
            await self._happen(next_event)
        raise AssertionError("it never comes to rest")

    async def _drain(self) -> None:
        for _ in range(MAX_ROUNDS):
            await self._show_changes()
            submitted, told = self.world.publisher.take(SUBMITTED), self.world.publisher.take(STATUS)
            if not submitted and not told and not self._unreported() and not self._changed():
                return
            for message in submitted:
                await self.redeliver(message)
            for message in told:
                await self.hear(message)
            await self._tolerate(self.world.orchestrations.run_due(self.world.clock.now(), self.world.services))
            await self._show_changes()
            await self._post_receipts()

    def _changed(self) -> dict[tuple[str, str], dict[str, Any]]:
        documents = self.world.documents if self._has_feed else {}
        return {place: document for place, document in documents.items() if document["_etag"] != self._shown.get(place)}

    async def _show_changes(self) -> None:
        """As the change feed: shown again until taken."""
        changed = self._changed()
        if changed and await self._tolerate(follow_changes(list(changed.values()), self.world.services, self.waiters)):
            self._shown |= {place: document["_etag"] for place, document in changed.items()}

    async def redeliver(self, message: BusMessage) -> None:
        """As the broker: again and again until it is taken, or dead."""
        if message.due_at:
            self.world.clock.advance_to(message.due_at)
        for _ in range(MAX_DELIVERIES):
            chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
            if await self._tolerate(deliver_as_decided(chunk, self.world.services)):
                return
        self.dead.append(message)

    async def hear(self, message: BusMessage) -> None:
        """As the status topic's subscriptions."""
        event = NotificationStatus.model_validate_json(message.body)
        if not message.properties["recorded"]:
            for _ in range(MAX_DELIVERIES):
                if await self._tolerate(self.record(message)):
                    break
            else:
                self.dead.append(message)
        if message.properties["retrying"]:
            await continue_retries(event, self.world.orchestrations, self.world.services)

    async def record(self, message: BusMessage) -> None:
        """The tracker's part."""
        await track(NotificationStatus.model_validate_json(message.body), self.world.services)

    async def _tolerate(self, work: Awaitable[object]) -> bool:
        try:
            await work
        except CnsError:
            return False
        except Crash:
            await asyncio.sleep(0)  # what the dead process still had running dies with it
            self.world.restart()
            return False
        return True

    async def _post_receipts(self) -> None:
        for provider in self.world.all_providers:
            fresh = [sent for sent in self._unreported() if sent in provider.accepted]
            if not fresh:
                continue
            provider.receipts = [self._receipt(sent) for sent in fresh]
            request = ReceiptRequest("/", {}, {}, b"")
            if await self._tolerate(_received(provider.name, request, self.world)):
                self._reported |= {sent.attempt_id for sent in fresh}

    def _receipt(self, sent: OutboundMessage) -> Receipt:
        kind = self._said_of(sent) or ReceiptKind.UNKNOWN
        return Receipt(sent.attempt_id, kind, self.world.clock.now(), kind.value)

    def _unreported(self) -> list[OutboundMessage]:
        accepted = [sent for provider in self.world.all_providers for sent in provider.accepted]
        return [sent for sent in accepted if self._said_of(sent) and sent.attempt_id not in self._reported]

    def _said_of(self, sent: OutboundMessage) -> ReceiptKind | None:
        return self.receipts.get(sent.channel) if isinstance(self.receipts, Mapping) else self.receipts

    def _next_event(self) -> datetime | None:
        """When something will happen next; None when nothing ever will."""
        sleepers = [
            delivery.wake_at
            for notification in self.world.notifications
            for delivery in notification.deliveries.values()
            if delivery.wake_at
        ]
        due = self.world.orchestrations.next_due()
        return min(sleepers + ([due] if due else []), default=None)


async def _received(provider: str, request: ReceiptRequest, world: World) -> None:
    await receive_receipts(provider, request, world.services)
