"""A provider that does as it is told, and keeps a ledger of every attempt that reached it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from shared.domain.capabilities import ANYTHING
from shared.domain.errors import InDoubt, ProviderError, Untried
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
        self.witness: Callable[[OutboundMessage], None] = lambda _: None  # sees the world at each call

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
        self.witness(message)
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


class FakeGroupProvider(FakeReceiptSource):
    """Carries many messages in one call, an address once. ``refusals`` are what a group's call says of some of them."""

    def __init__(self, channel: str = "email", name: str = "fakepost", group_limit: int = 1000) -> None:
        super().__init__(channel, name)
        self.group_limit = group_limit
        self.groups: list[list[OutboundMessage]] = []
        self.refusals: dict[str, ProviderError] = {}

    async def send(self, message: OutboundMessage) -> Accepted:
        self.groups.append([message])
        if refusal := self.refusals.get(_mailbox(message)):
            self.script.insert(0, refusal)
        return await super().send(message)

    def divide(self, messages: Sequence[OutboundMessage]) -> Sequence[Sequence[int]]:
        groups: list[list[int]] = []
        for index, message in enumerate(messages):
            for group in groups:
                if len(group) < self.group_limit and message.address not in {messages[i].address for i in group}:
                    group.append(index)
                    break
            else:
                groups.append([index])
        return groups

    async def send_group(self, messages: Sequence[OutboundMessage]) -> Sequence[Accepted | ProviderError]:
        self.groups.append(list(messages))
        try:
            async with self.steps.around("provider call"):
                return self._receive_all(messages)
        except Lost as lost:
            self.in_doubt |= {message.attempt_id for message in messages}
            raise InDoubt("timeout") from lost
        except asyncio.CancelledError:
            self.cancelled += [message.attempt_id for message in messages]
            raise

    def _receive_all(self, messages: Sequence[OutboundMessage]) -> Sequence[Accepted | ProviderError]:
        self.ledger += messages
        answer = self.script.pop(0) if self.script else self.otherwise
        if isinstance(answer, Exception):
            raise answer
        said = {message.attempt_id: self.refusals.get(_mailbox(message)) for message in messages}
        if any(said.values()):
            return [said[message.attempt_id] or Untried("refused_with_others") for message in messages]
        self.accepted += messages
        return [answer] * len(messages)


def _mailbox(message: OutboundMessage) -> str:
    return getattr(message.address, "mailbox", "")
