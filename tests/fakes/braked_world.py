"""A world whose processes know quarantines and count for the brakes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.adapters.cosmos_brakes import CosmosBrakes
from shared.adapters.cosmos_quarantines import CosmosQuarantines
from shared.contracts.events import BusMessage, NotificationSubmitted
from shared.domain.brakes import BrakeLimits
from shared.domain.chunk import Chunk
from shared.domain.quarantine import Quarantine
from shared.pipeline.brakes import Brakes
from shared.pipeline.deliver import deliver
from shared.pipeline.quarantine import Quarantines
from shared.pipeline.services import SUBMITTED, Services
from tests.fakes.lane_board import Seconds
from tests.fakes.world import World


class BrakedWorld(World):
    """``seconds`` is what its processes measure by; ``pass_time`` moves it with the clock."""

    def fresh_process(self) -> Services:
        database: Any = self.database
        if not hasattr(self, "seconds"):
            self.seconds = Seconds()
        store = CosmosQuarantines(database)
        return replace(
            super().fresh_process(),
            quarantines=Quarantines(store, self.seconds),
            quarantine_store=store,
            brakes=Brakes(CosmosBrakes(database), BrakeLimits(), self.seconds),
        )

    @property
    def store(self) -> CosmosQuarantines:
        store: Any = self.services.quarantine_store
        return store

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.seconds.advance(seconds)

    async def quarantine(self, wanted: Quarantine) -> None:
        """Every process knows it."""
        await self.store.open(wanted)
        self.pass_time(3)

    async def deliver_all(self, services: Services | None = None) -> list[BusMessage]:
        """Delivers what is due on the bus; what was put back for later is answered and stays away."""
        later = []
        while messages := self.publisher.take(SUBMITTED):
            for message in messages:
                if message.due_at and message.due_at > self.clock.now():
                    later.append(message)
                else:
                    await deliver(chunk_in(message), services or self.services)
        return later


def chunk_in(message: BusMessage) -> Chunk:
    return NotificationSubmitted.model_validate_json(message.body).to_chunk()
