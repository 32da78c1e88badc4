"""A notification and its deliveries, as the service knows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.address import Address
from shared.domain.callback_mark import CallbackMark
from shared.domain.content import Content
from shared.domain.identifiers import AttemptId, PartitionKey, TenantId, TrackingId
from shared.domain.quick_dataclass import quick_dataclass
from shared.domain.status import DeliveryStatus

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


class Lane(StrEnum):
    """The priority a notification travels at; each lane has its own subscriptions and functions."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Category(StrEnum):
    """What a notification is for, which decides what may be done when it is in doubt."""

    SECURITY = "security"
    LEGAL = "legal"
    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


@quick_dataclass(frozen=True, slots=True)
class TemplateRef:
    """A template with its version pinned at accept."""

    id: str
    version: str
    locale: str


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What one attempt came to for one target of its address, such as one of the customer's devices.

    ``number`` counts the address's targets from 0; ``outcome`` and ``reason`` are words as in ``Attempt``.
    """

    number: int
    outcome: str
    reason: str | None = None
    provider_message_id: str | None = None


@quick_dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one delivery with one provider.

    ``routed_because`` says why it was not the most preferred provider that made it. ``targets`` are its results one by
    one, where there are several.
    """

    id: AttemptId
    number: int
    claimed_at: datetime
    provider: str | None = None
    outcome: str | None = None
    reason: str | None = None
    provider_message_id: str | None = None
    finished_at: datetime | None = None
    routed_because: str | None = None
    targets: tuple[TargetResult, ...] = ()


@quick_dataclass(frozen=True, slots=True)
class Delivery:
    """One channel's part of a notification.

    ``wake_at`` is set as long as the delivery is not at an outcome: when it has passed, the sweeper looks at it.
    ``deadline_at`` is when a fallback channel on standby takes over from one that was not confirmed by then.
    ``replays`` says after which attempts an operator put it back to work, and by which replay.
    """

    channel: str
    status: DeliveryStatus
    address: Address
    wake_at: datetime | None
    content: Content | None = None
    attempt: int = 0
    claim_id: str | None = None
    claimed_at: datetime | None = None
    due_at: datetime | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    was_in_doubt: bool = False
    sweeps: int = 0
    attempts: tuple[Attempt, ...] = ()
    deadline_at: datetime | None = None
    replays: Mapping[int, str] = field(default_factory=dict)

    @property
    def counted_attempts(self) -> tuple[Attempt, ...]:
        """The attempts that count against the allowed ones: those since the last replay."""
        return self.attempts[max(self.replays) :] if self.replays else self.attempts


@quick_dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of status, in the order it was recorded."""

    at: datetime
    channel: str
    status: DeliveryStatus
    attempt: int = 0
    provider: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """Channels one after the other: the next is used when the one before failed, or was not confirmed in time."""

    order: tuple[str, ...]
    deadline: timedelta | None = None


@quick_dataclass(frozen=True, slots=True)
class Notification:
    """What a consumer asked for: one recipient, one template or content, one or more channels.

    Without ``fallback`` each channel is used. From ``cancelled_at`` on no attempt begins. A test goes the whole way,
    and ends as if it had been delivered without any provider's being asked.
    """

    tracking_id: TrackingId
    tenant_id: TenantId
    partition_key: PartitionKey
    created_at: datetime
    lane: Lane
    category: Category
    deliveries: Mapping[str, Delivery]
    customer_id: str | None = None
    template: TemplateRef | None = None
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    reference: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    batch_id: str | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    awaited: bool = False
    history: tuple[HistoryEntry, ...] = ()
    callbacks: Mapping[str, CallbackMark] = field(default_factory=dict)
    fallback: Fallback | None = None
    cancelled_at: datetime | None = None
    is_test: bool = False

    @property
    def starts_at(self) -> datetime:
        """From when on it may be sent."""
        return self.send_at or self.created_at
