"""What the pipeline needs from the world, as protocols. Adapters and providers implement them; tests fake them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.address import Address
from shared.domain.content import Content
from shared.domain.identifiers import AttemptId
from shared.domain.receipt import Receipt


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """This instant, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer of an HTTP server. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """One pooled HTTP client per process."""

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        """The answer to one POST; redirects are not followed and at most 64 KiB of the answer are read.

        Raises:
            Transient: no byte of the request left (refused, unresolvable, no connection in time).
            InDoubt: bytes left and no complete answer came back within ``timeout``.
            DestinationRefused: the address is one this client never connects to (guarded clients only).
        """
        ...


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One attempt as a provider sees it."""

    attempt_id: AttemptId
    channel: str
    address: Address
    content: Content
    category: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the attempt. ``delivered`` when its answer is already the recipient's own."""

    provider_message_id: str | None = None
    delivered: bool = False


class Provider(Protocol):
    """One account at one vendor, able to carry one channel."""

    @property
    def name(self) -> str:
        """The vendor's name in lower case, as in statuses, settings and receipt URLs."""
        ...

    @property
    def channel(self) -> str:
        """The channel it carries."""
        ...

    async def send(self, message: OutboundMessage) -> Accepted:
        """One provider call for one attempt.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: as the provider's table says.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """A receipt as it came in: the raw bytes are what the signature covers. Header names are lower case."""

    path_and_query: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class ReceiptSource(Protocol):
    """A provider that posts receipts."""

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        """Nothing when the request is signed by the provider and fresh.

        Raises:
            ReceiptNotAuthentic: in every other case.
        """
        ...

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The events in a verified request; events about no attempt of ours are left out.

        Raises:
            InvalidSubmission: the body is not what the provider documents (status 400).
        """
        ...
