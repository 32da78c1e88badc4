"""Quarantines: what is held back because something about it is wrong, until somebody has looked. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.notification import Category, Lane

# High priority and security pass, unless whoever opens a quarantine names them.
DEFAULT_LANES = frozenset({Lane.NORMAL, Lane.LOW})
DEFAULT_CATEGORIES = frozenset(Category) - {Category.SECURITY}
SHORTEST_HOLD, LONGEST_HOLD = timedelta(seconds=30), timedelta(minutes=10)
_HOLD_SHARE = 0.25  # of a quarantine's age: what waits for long need not look every half minute


class Because(StrEnum):
    """Why a quarantine was opened."""

    OPERATOR = "operator"
    SPIKE = "spike"  # far more than ever before
    FAILURES = "failures"  # far too much of it fails or bounces


@dataclass(frozen=True, slots=True)
class Subject:
    """What is held: everything of a tenant, or what it sends with one template."""

    tenant_id: str
    template_id: str | None = None

    @property
    def key(self) -> str:
        """Its name, good as an id and in a URL."""
        return f"template.{self.tenant_id}.{self.template_id}" if self.template_id else f"tenant.{self.tenant_id}"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One subject that is, or was, held.

    Attributes:
        because: why; ``evidence`` are the numbers behind it.
        held: deliveries that were held back, by template; literal content is under "".
        released_at: when somebody let it go; None while it holds.
    """

    subject: Subject
    since: datetime
    because: Because
    opened_by: str
    lanes: frozenset[Lane] = DEFAULT_LANES
    categories: frozenset[Category] = DEFAULT_CATEGORIES
    evidence: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    released_at: datetime | None = None
    released_by: str | None = None

    @property
    def id(self) -> str:
        """One for each subject."""
        return self.subject.key

    @property
    def is_active(self) -> bool:
        """Whether it holds anything back."""
        return self.released_at is None

    def covers(self, tenant_id: str, template_id: str | None, lane: Lane, category: Category | None) -> bool:
        """Whether a delivery is held. A category nobody knows is held with the others."""
        return (
            self.subject.tenant_id == tenant_id
            and self.subject.template_id in {None, template_id}
            and lane in self.lanes
            and (category is None or category in self.categories)
        )

    def hold(self, now: datetime) -> timedelta:
        """How long a message is held before it looks again."""
        return min(max((now - self.since) * _HOLD_SHARE, SHORTEST_HOLD), LONGEST_HOLD)
