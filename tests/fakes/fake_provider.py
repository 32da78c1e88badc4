"""A provider that does as it is told, and keeps a ledger of every attempt that reached it."""

import asyncio
from datetime import datetime

from shared.domain.capabilities import ANYTHING
from shared.domain.errors import InDoubt
from shared.domain.receipt import Receipt
from shared.ports import Accepted, OutboundMessage, ReceiptRequest
from tests.fakes.steps import Lost, StepsThrough

Answer = Accepted | Exception


class FakeProvider:
    """Answers ``script`` one by one, then ``otherwise`` for ever. ``delays`` are seconds by tracking id."""

    def __init__(self, channel: str = "email", name: str = "fakepost") -> None:
        self.channel = channel
        self.name = name
        self.capabilities = ANYTHING
        self.steps = StepsThrough()
        self.script: list[Answer] = []
        self.otherwise: Answer = Accepted("message-1")
        self.delays: dict[str, float] = {}
        self.ledger: list[OutboundMessage] = []
        self.accepted: list[OutboundMessage] = []
        self.in_doubt: set[str] = set()
        self.cancelled: list[str] = []

    @property
    def attempt_ids(self) -> list[str]:
        return [message.attempt_id for message in self.ledger]

    async def send(self, message: OutboundMessage) -> Accepted:
        try:
            await asyncio.sleep(self.delays.get(message.attempt_id.split(".")[-3], 0))
            async with self.steps.around("provider call"):
                answer = self._receive(message)
        except Lost as lost:
            self.in_doubt.add(message.attempt_id)
            raise InDoubt("timeout") from lost
        except asyncio.CancelledError:
            self.cancelled.append(message.attempt_id)
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _receive(self, message: OutboundMessage) -> Answer:
        self.ledger.append(message)
        answer = self.script.pop(0) if self.script else self.otherwise
        if isinstance(answer, Accepted):
            self.accepted.append(message)
        return answer


class FakeReceiptSource(FakeProvider):
    """A provider that also posts receipts: what ``receipts`` holds, when ``authentic``."""

    def __init__(self, channel: str = "email", name: str = "fakepost") -> None:
        super().__init__(channel, name)
        self.receipts: list[Receipt] = []
        self.forgery: Exception | None = None

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        if self.forgery:
            raise self.forgery

    def parse(self, request: ReceiptRequest) -> list[Receipt]:
        return self.receipts
