"""Dead letters as operators and consumers see them."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contracts.channel_name import ChannelName
from shared.contracts.field_types import Inbound, Instant, Outbound, TemplateId
from shared.contracts.http_api import AttemptView
from shared.contracts.query import Cursor, TenantName
from shared.domain.dead_letter import BUS, DeadDelivery, DeadLetter, DeadMessage, Tag
from shared.domain.notification import Attempt

# ``_bus`` stands for messages that belong to no tenant.
LetterTenant = TenantName | Annotated[str, StringConstraints(pattern=f"^{BUS}$")]


class LetterParameters(Inbound):
    """Whose dead letter is wanted; an operator may name another tenant."""

    tenant: LetterTenant | None = None


class CountParameters(LetterParameters):
    """What is to be counted."""

    channel: ChannelName | None = None
    template: TemplateId | None = None
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None


class ListParameters(CountParameters):
    """Which dead letters are wanted. ``state`` is *open* unless said otherwise."""

    tag: Tag | None = None
    state: Annotated[str, StringConstraints(pattern="^(open|replayed|all)$")] = "open"
    cursor: Cursor | None = None


class DeadAttemptView(AttemptView):
    """One attempt of a dead delivery."""

    latency_ms: int | None = None


class ReplayMarkView(Outbound):
    """By which replay the dead letter was put back to work."""

    id: str
    at: datetime


class DeadLetterView(Outbound):
    """One dead letter, of a delivery or of a message; ``attempts`` only when one is read by itself."""

    id: str
    tenant: str
    kind: str
    tag: str
    reason: str
    state: str
    dead_since: datetime
    filed_at: datetime
    copies: int
    replay: ReplayMarkView | None = None
    tracking_id: str | None = None
    channel: str | None = None
    priority: str | None = None
    category: str | None = None
    template: dict[str, str] | None = None
    expires_at: datetime | None = None
    attempt_count: int | None = None
    attempts: list[DeadAttemptView] | None = None
    entity: str | None = None
    bytes: int | None = None
    digest: str | None = None
    pointers: list[str] | None = None
    is_kept: bool | None = None
    links: dict[str, str]

    @classmethod
    def of(cls, letter: DeadLetter, *, with_attempts: bool = False) -> "DeadLetterView":
        """The dead letter as it goes out."""
        story = letter.story
        told = _of_delivery(story, with_attempts) if isinstance(story, DeadDelivery) else _of_message(story)
        links = {"self": f"/api/v1/dead-letters/{letter.id}?tenant={letter.tenant_id}"}
        if isinstance(story, DeadDelivery):
            links["notification"] = f"/api/v1/notifications/{story.tracking_id}"
        return cls(
            id=letter.id,
            tenant=letter.tenant_id,
            tag=letter.tag.value,
            reason=letter.reason,
            state="replayed" if letter.replay else "open",
            dead_since=letter.dead_since,
            filed_at=letter.filed_at,
            copies=letter.copies,
            replay=ReplayMarkView(id=letter.replay.replay_id, at=letter.replay.at) if letter.replay else None,
            links=links,
            **told,
        )


def _of_delivery(story: DeadDelivery, with_attempts: bool) -> dict[str, object]:
    template = story.template
    return {
        "kind": "delivery",
        "tracking_id": story.tracking_id,
        "channel": story.channel,
        "priority": story.lane.value,
        "category": story.category.value if story.category else None,
        "template": {"id": template.id, "version": template.version, "locale": template.locale} if template else None,
        "expires_at": story.expires_at,
        "attempt_count": len(story.attempts),
        "attempts": [_attempt_view(attempt) for attempt in story.attempts] if with_attempts else None,
    }


def _of_message(story: DeadMessage) -> dict[str, object]:
    return {
        "kind": "message",
        "entity": story.entity,
        "bytes": story.size,
        "digest": story.digest,
        "pointers": list(story.pointers) or None,
        "is_kept": story.body is not None,
    }


def _attempt_view(attempt: Attempt) -> DeadAttemptView:
    finished = attempt.finished_at
    return DeadAttemptView(
        number=attempt.number,
        id=attempt.id,
        provider=attempt.provider,
        started_at=attempt.claimed_at,
        finished_at=finished,
        outcome=attempt.outcome,
        reason=attempt.reason,
        provider_message_id=attempt.provider_message_id,
        routed_because=attempt.routed_because,
        latency_ms=round((finished - attempt.claimed_at).total_seconds() * 1000) if finished else None,
    )


class DeadLetterPageView(Outbound):
    """Dead letters, newest first. ``next`` is the cursor of the page after this one."""

    letters: list[DeadLetterView]
    next: str | None = None


class DeadLetterCountsView(Outbound):
    """How many dead letters are open, by tag, and how many were replayed."""

    since: Annotated[datetime, Field(serialization_alias="from")]
    until: Annotated[datetime, Field(serialization_alias="to")]
    open: dict[str, int]
    replayed: int
