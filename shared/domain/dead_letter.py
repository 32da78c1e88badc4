"""Dead letters: what was given up and somebody may have to act on, with the tag that says who (S1-19).

Two kinds. A *dead delivery* was given up with its notification still stored; it can be sent again. A *dead message* was
on the bus and could not be read or processed; it can be put back when its body was worth keeping.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from shared.domain.errors import Misconfigured, Rejected
from shared.domain.identifiers import TenantId, TrackingId
from shared.domain.notification import Attempt, Category, Lane, TemplateRef
from shared.domain.routing import NOT_CARRIED, PassedOver
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import EXHAUSTED

BUS = TenantId("_bus")  # whose dead messages are: nobody's; no tenant can be named so


class Tag(StrEnum):
    """Why it is dead, which is who has to act."""

    EXHAUSTED = "exhausted"  # the allowed attempts failed: the provider was away or slow
    MISCONFIGURED = "misconfigured"  # our account at the provider is wrong, or none of ours carries it
    REJECTED = "rejected"  # the provider refused what was sent, not whom it was for
    EXPIRED = "expired"  # its time ran out before it was sent, or on the bus
    POISON = "poison"  # template and data don't fit, or nobody can read the message
    UNPROCESSED = "unprocessed"  # the message could be read, and failed too often


# Reasons of rejections that are about the message; what is about the recipient is an outcome that nobody can mend.
MESSAGE_FAULTS = frozenset(
    {
        "content_too_large",
        "invalid_content",
        "invalid_request",
        "sender_id_mismatch",
        "spam_content",
        "wrong_channel",
    }
)
TEMPLATE_FAULTS = frozenset({"template_unusable", "content_refused"})
_UNLISTED = "http_"  # a provider's refusal that no table of ours lists: http_422
_DIGEST_LENGTH = 40
_EXPIRED_ON_THE_BUS = "TTLExpiredException"


def tag_of_delivery(status: DeliveryStatus, reason: str | None, last: Attempt | None) -> Tag | None:
    """The tag of a delivery that stands at ``status`` for ``reason``; None when it is no dead letter."""
    if status is DeliveryStatus.EXPIRED:
        return Tag.EXPIRED
    if status is not DeliveryStatus.FAILED or reason is None:
        return None
    if reason in TEMPLATE_FAULTS:
        return Tag.POISON
    outcome = last.outcome if last else None
    is_ours = outcome == Misconfigured.__name__.lower() and reason == EXHAUSTED
    if is_ours or outcome == NOT_CARRIED or reason == PassedOver.NOT_CARRIED.value:
        return Tag.MISCONFIGURED
    if reason == EXHAUSTED:
        return Tag.EXHAUSTED
    is_about_message = reason in MESSAGE_FAULTS or reason.startswith(_UNLISTED)
    return Tag.REJECTED if outcome == Rejected.__name__.lower() and is_about_message else None


def tag_of_message(reason: str | None, *, is_readable: bool) -> Tag:
    """The tag of a message that the broker gave up on for ``reason``, its own word."""
    if reason == _EXPIRED_ON_THE_BUS:
        return Tag.EXPIRED
    return Tag.UNPROCESSED if is_readable else Tag.POISON


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """A delivery that was given up, without address and content."""

    tracking_id: TrackingId
    channel: str
    lane: Lane
    attempt: int
    attempts: tuple[Attempt, ...]
    category: Category | None = None
    template: TemplateRef | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that was given up. ``body`` only where it holds references and nothing else."""

    entity: str
    digest: str
    size: int
    pointers: tuple[str, ...] = ()
    body: str | None = None


@dataclass(frozen=True, slots=True)
class ReplayMark:
    """By which replay the dead letter was put back to work, and when."""

    replay_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. ``copies`` is how often it was filed."""

    tenant_id: TenantId
    tag: Tag
    reason: str
    dead_since: datetime
    story: DeadDelivery | DeadMessage
    filed_at: datetime
    copies: int = 1
    replay: ReplayMark | None = None

    @property
    def id(self) -> str:
        """Its name: the day, and what died. The same for every copy."""
        return f"{self.day}.{name_of(self.story)}"

    @property
    def day(self) -> str:
        """The day it died, as yyyymmdd."""
        return day_of(self.dead_since)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are wanted; None for no bound. Without a tenant, those of all tenants.

    With ``or_taken_by``, those that this replay took are wanted as well, open or not.
    """

    tenant: TenantId | None
    since: datetime
    until: datetime
    tag: Tag | None = None
    channel: str | None = None
    template: str | None = None
    is_open: bool | None = None
    or_taken_by: str | None = None


def name_of(story: DeadDelivery | DeadMessage) -> str:
    """What died: an attempt of a delivery, so that one which dies again after a replay is another; or a message."""
    if isinstance(story, DeadDelivery):
        return f"{story.tracking_id}.{story.channel}.{story.attempt}"
    return story.digest[:_DIGEST_LENGTH]


def day_of(instant: datetime) -> str:
    """The day of an instant, as yyyymmdd."""
    return f"{instant.astimezone(UTC):%Y%m%d}"
