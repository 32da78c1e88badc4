"""What goes on around the app: the broker delivers, the sweeper runs, orchestrations wake, providers post receipts.

``quiesce`` lets all of it happen, over and over, until nothing is left that could.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from shared.contracts.events import BusMessage, NotificationStatus, NotificationSubmitted
from shared.domain.errors import CnsError
from shared.domain.receipt import Receipt, ReceiptKind
from shared.pipeline.deliver import deliver
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.recover import sweep
from shared.pipeline.retry import continue_retries
from shared.pipeline.services import STATUS, SUBMITTED
from shared.pipeline.track import track
from shared.ports import OutboundMessage, ReceiptRequest
from tests.fakes.steps import Crash
from tests.fakes.world import World

MAX_ROUNDS = 500
MAX_DELIVERIES = 10


class RealWorld:
    """``receipts`` is what the provider says of every attempt it accepted; None when it says nothing."""

    def __init__(self, world: World, receipts: ReceiptKind | None = ReceiptKind.DELIVERED) -> None:
        self.world = world
        self.receipts = receipts
        self.dead: list[BusMessage] = []
        self._reported: set[str] = set()

    async def quiesce(self) -> None:
        for _ in range(MAX_ROUNDS):
            await self._drain()
            if not self._skip_to_next_event():
                return
            await self._tolerate(sweep(self.world.services))
            await self._tolerate(self.world.orchestrations.run_due(self.world.clock.now(), self.world.services))
            await self._post_receipts()
        raise AssertionError("it never comes to rest")

    async def _drain(self) -> None:
        for _ in range(MAX_ROUNDS):
            submitted, told = self.world.publisher.take(SUBMITTED), self.world.publisher.take(STATUS)
            if not submitted and not told and not self._unreported():
                return
            for message in submitted:
                await self.redeliver(message)
            for message in told:
                await self.hear(message)
            await self._tolerate(self.world.orchestrations.run_due(self.world.clock.now(), self.world.services))
            await self._post_receipts()

    async def redeliver(self, message: BusMessage) -> None:
        """As the broker: again and again until it is taken, or dead."""
        if message.due_at:
            self.world.clock.advance_to(message.due_at)
        for _ in range(MAX_DELIVERIES):
            chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
            if await self._tolerate(deliver(chunk, self.world.services)):
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
        kind = self.receipts or ReceiptKind.UNKNOWN
        return Receipt(sent.attempt_id, kind, self.world.clock.now(), kind.value)

    def _unreported(self) -> list[OutboundMessage]:
        accepted = [sent for provider in self.world.all_providers for sent in provider.accepted]
        return [sent for sent in accepted if self.receipts and sent.attempt_id not in self._reported]

    def _skip_to_next_event(self) -> bool:
        """Moves the clock to whatever comes next; False when nothing will ever happen again."""
        sleepers = [
            delivery.wake_at
            for notification in self.world.notifications
            for delivery in notification.deliveries.values()
            if delivery.wake_at
        ]
        due = self.world.orchestrations.next_due()
        instants = sleepers + ([due] if due else [])
        if not instants:
            return False
        self.world.clock.advance_to(min(instants))
        self.world.clock.advance(timedelta(milliseconds=1))
        return True


async def _received(provider: str, request: ReceiptRequest, world: World) -> None:
    await receive_receipts(provider, request, world.services)
