"""Quarantines and lanes as operators see them."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field

from shared.contracts.field_types import Inbound, Label, Outbound, TemplateId
from shared.contracts.query import TenantName
from shared.domain.notification import Category, Lane
from shared.domain.quarantine import DEFAULT_CATEGORIES, DEFAULT_LANES, Because, Quarantine, Subject


class QuarantineParameters(Inbound):
    """Which quarantines are wanted."""

    state: Literal["active", "released"] | None = None


class OpenQuarantine(Inbound):
    """What is to be held: everything of a tenant, or what it sends with one template."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tenant": "shop", "template": "order-confirmation", "note": "wrong prices"}]}
    )

    tenant: TenantName
    template: TemplateId | None = None
    lanes: Annotated[list[Lane], Field(min_length=1)] | None = None
    categories: Annotated[list[Category], Field(min_length=1)] | None = None
    note: Label | None = None

    def to_domain(self, by: str, now: datetime) -> Quarantine:
        """The quarantine that is asked for."""
        return Quarantine(
            Subject(self.tenant, self.template),
            since=now,
            because=Because.OPERATOR,
            opened_by=by,
            lanes=frozenset(self.lanes or DEFAULT_LANES),
            categories=frozenset(self.categories or DEFAULT_CATEGORIES),
            note=self.note,
        )


class HeldView(Outbound):
    """Deliveries that were held back; without a template they had literal content."""

    template: str | None = None
    deliveries: int


class QuarantineView(Outbound):
    """A quarantine and its blast radius."""

    id: str
    state: str
    tenant: str
    template: str | None = None
    because: str
    evidence: dict[str, float]
    note: str | None = None
    since: datetime
    opened_by: str
    lanes: list[str]
    categories: list[str]
    held: int
    held_by_template: list[HeldView]
    released_at: datetime | None = None
    released_by: str | None = None

    @classmethod
    def of(cls, quarantine: Quarantine) -> Self:
        """The quarantine as it goes out."""
        held = sorted(quarantine.held.items(), key=lambda entry: -entry[1])
        return cls(
            id=quarantine.id,
            state="active" if quarantine.is_active else "released",
            tenant=quarantine.subject.tenant_id,
            template=quarantine.subject.template_id,
            because=quarantine.because.value,
            evidence=dict(quarantine.evidence),
            note=quarantine.note,
            since=quarantine.since,
            opened_by=quarantine.opened_by,
            lanes=sorted(lane.value for lane in quarantine.lanes),
            categories=sorted(category.value for category in quarantine.categories),
            held=sum(quarantine.held.values()),
            held_by_template=[HeldView(template=name or None, deliveries=count) for name, count in held],
            released_at=quarantine.released_at,
            released_by=quarantine.released_by,
        )


class QuarantinesView(Outbound):
    """Quarantines, newest first."""

    quarantines: list[QuarantineView]


class LaneView(Outbound):
    """One lane of one channel. The second lateness is that of tenants who don't dominate it, and closes it."""

    channel: str
    lane: str
    late_seconds: float
    felt_late_seconds: float
    target_seconds: float
    closed: bool


class LanesView(Outbound):
    """All lanes."""

    lanes: list[LaneView]
