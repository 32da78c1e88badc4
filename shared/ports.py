"""What the pipeline needs from the world, as protocols. Adapters and providers implement them; tests fake them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from shared.contracts.events import BusMessage
from shared.domain.address import Address
from shared.domain.callback_mark import CallbackMark
from shared.domain.chunk import ChunkItem
from shared.domain.content import Content
from shared.domain.errors import ProviderError
from shared.domain.idempotency import KeyRecord
from shared.domain.identifiers import AttemptId, PartitionKey, TenantId, TrackingId
from shared.domain.notification import JsonValue, Lane, Notification
from shared.domain.outcome import Claimed, NotClaimed, Nudge, Outcome, StatusChange, Step
from shared.domain.quick_dataclass import quick_dataclass
from shared.domain.receipt import Receipt
from shared.domain.tenant_policy import PolicyVersion, TenantPolicy


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

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> HttpAnswer:
        """The answer to one GET, which changes nothing at the other side; otherwise as ``post``."""
        ...


@quick_dataclass(frozen=True, slots=True)
class OutboundMessage:
    """One attempt as a provider sees it. After ``expires_at`` nobody wants to read it any more.

    ``unsubscribe_url`` takes one POST to end all messages of the category (RFC 8058); None where there is no such link.
    """

    attempt_id: AttemptId
    channel: str
    address: Address
    content: Content
    category: str
    lane: Lane = Lane.NORMAL
    expires_at: datetime | None = None
    unsubscribe_url: str | None = None


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


class GroupProvider(Provider, Protocol):
    """A provider that can carry many attempts in one call."""

    @property
    def group_limit(self) -> int:
        """How many attempts one call carries at most."""
        ...

    def divide(self, messages: Sequence[OutboundMessage]) -> Sequence[Sequence[int]]:
        """The positions of ``messages`` in groups that may each be one call; every position once. Sends nothing."""
        ...

    async def send_group(self, messages: Sequence[OutboundMessage]) -> Sequence[Accepted | ProviderError]:
        """One provider call for several attempts, a group of ``divide``: what came of each, in their order.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: what came of all of them alike.
        """
        ...


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """A receipt as it came in: the raw bytes are what the signature covers. Header names are lower case."""

    path_and_query: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@runtime_checkable
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


class NotificationStore(Protocol):
    """``notification-tracking``: notifications with their deliveries, and idempotency keys.

    Every method raises StoreUnavailable when the store can't be reached or refuses for load.
    """

    async def commit(self, notifications: Sequence[Notification], key: KeyRecord | None = None) -> None:
        """All of ``notifications`` (one partition) and the key's record are stored, or nothing is.

        Committing the same notifications again is success. Raises KeyTaken.
        """
        ...

    async def read(self, tenant: TenantId, tracking_id: TrackingId) -> Notification:
        """The notification as it stands. Raises NotFound."""
        ...

    async def read_key(self, partition: PartitionKey, key_id: str) -> KeyRecord | None:
        """The record of an idempotency key; None when there is none."""
        ...

    async def create_key(self, record: KeyRecord) -> KeyRecord:
        """The record, stored. Raises KeyTaken."""
        ...

    async def replace_key(self, record: KeyRecord) -> KeyRecord:
        """The record, replaced. Raises Conflict when someone else replaced it first."""
        ...

    async def claim(
        self, partition: PartitionKey, channel: str, wanted: Sequence[ChunkItem], *, claim_id: str, wake_at: datetime
    ) -> Sequence[Claimed | NotClaimed]:
        """For each wanted attempt, the claim or why there is none, in the order asked. At most 50 at once."""
        ...

    async def record_outcomes(self, partition: PartitionKey, outcomes: Sequence[Outcome]) -> None:
        """Every outcome is on its delivery, unless the delivery has already gone further."""
        ...

    async def record_changes(self, partition: PartitionKey, changes: Sequence[StatusChange]) -> None:
        """Every change that moves its delivery forward is recorded; the others change nothing.

        Raises NotFound when a notification does not exist.
        """
        ...

    async def record_nudges(self, partition: PartitionKey, nudges: Sequence[Nudge]) -> Sequence[bool]:
        """For each nudge, whether this call made the move."""
        ...

    async def record_steps(self, partition: PartitionKey, steps: Sequence[Step]) -> Sequence[bool]:
        """For each step, whether this call made its moves. At most 100 at once."""
        ...

    async def cancel(self, tenant: TenantId, tracking_id: TrackingId, now: datetime) -> Notification:
        """The notification, taken back from here on: no attempt begins any more. Raises NotFound."""
        ...

    async def record_callbacks(
        self, partition: PartitionKey, marks: Mapping[TrackingId, Mapping[str, CallbackMark]]
    ) -> None:
        """For each notification, the state of its callbacks by their key."""
        ...

    async def overdue(self, now: datetime, limit: int) -> Sequence[Notification]:
        """Up to ``limit`` notifications with a delivery whose wake-up time has passed."""
        ...

    async def ping(self) -> None:
        """Nothing, when the store answers."""
        ...


class TenantPolicies(Protocol):
    """``tenant-policies``: what operators decided for each tenant."""

    async def find(self, tenant: TenantId) -> TenantPolicy:
        """The tenant's policy, at most half a minute old. Never fails: what was last known, else assumed defaults."""
        ...

    async def read(self, tenant: TenantId) -> PolicyVersion:
        """The policy as it is stored, or the defaults where none is. Raises StoreUnavailable."""
        ...

    async def replace(self, tenant: TenantId, policy: TenantPolicy, version: str) -> PolicyVersion:
        """The policy, stored in place of ``version``. Raises VersionChanged, StoreUnavailable."""
        ...


class Publisher(Protocol):
    """The way onto the bus."""

    async def publish(self, entity: str, messages: Sequence[BusMessage]) -> None:
        """All messages are on the topic or queue ``entity``.

        Raises:
            PublishFailed: some or all may not be.
        """
        ...


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One immutable version of a template."""

    id: str
    version: str
    category: str
    channels: tuple[str, ...]
    default_locale: str
    locales: tuple[str, ...]
    required: tuple[str, ...]
    parts: Mapping[str, Mapping[str, str]] = field(repr=False)


class TemplateCatalogue(Protocol):
    """The published templates."""

    async def find(self, tenant: TenantId, template_id: str, version: str | None) -> TemplateVersion | None:
        """The version asked for, or the newest one; None when there is none."""
        ...


class Renderer(Protocol):
    """Turns a template's parts and a notification's data into text."""

    def render(
        self, template: TemplateVersion, locale: str, parts: Sequence[str], data: Mapping[str, JsonValue]
    ) -> Mapping[str, str]:
        """The text of each part that the template has in ``locale``. Raises TemplateUnusable."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the consumer's application or API key, its tenant and its roles.

    ``is_test``: nothing is really sent. ``recipients``: marks (domain/api_key.py) of whom it may send to; None: all.
    """

    tenant_id: TenantId
    application_id: str
    roles: frozenset[str]
    is_test: bool = False
    recipients: frozenset[str] | None = None


class TokenVerifier(Protocol):
    """Tells who a bearer token belongs to."""

    async def verify(self, token: str) -> Caller:
        """The caller. Raises NotAuthenticated."""
        ...
