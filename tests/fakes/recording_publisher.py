"""A bus that remembers: every message, by topic or queue, until a test takes it away."""

from collections import defaultdict
from collections.abc import Sequence

from shared.contracts.events import BusMessage
from shared.domain.errors import PublishFailed
from tests.fakes.steps import Lost, StepsThrough


class RecordingPublisher:
    """``away`` names the entities that refuse; "*" stands for all of them."""

    def __init__(self) -> None:
        self.steps = StepsThrough()
        self.away: set[str] = set()
        self.published: dict[str, list[BusMessage]] = defaultdict(list)

    async def publish(self, entity: str, messages: Sequence[BusMessage]) -> None:
        if self.away & {entity, "*"}:
            raise PublishFailed(f"{entity} is away")
        try:
            async with self.steps.around(f"publish to {entity}"):
                self.published[entity].extend(messages)
        except Lost as lost:
            raise PublishFailed(entity) from lost

    def take(self, entity: str) -> list[BusMessage]:
        """What is on ``entity``; it is empty afterwards."""
        return self.published.pop(entity, [])
