"""Where a consumer wants to be called back: its secrets, what it wants to hear of, and how well it is.

Nothing here reads or writes; each change gives the endpoint as it would be, and whoever stores it does so on condition
that it still is what was read (``version``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.identifiers import TenantId

EVERY_STATUS = "*"
MAX_SECRETS = 3  # at a time: the current one and two that run out; each is a signature in every callback's header
FAILURES_IN_A_ROW = 5  # in one process; so many, and the endpoint's callbacks wait for a probe
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(minutes=15)
PROBE_PATIENCE = timedelta(seconds=45)  # longer than a post may take; then its probe counts as dead
DISABLED_AFTER = timedelta(days=5)  # of nothing but failures
QUIET_FOR = timedelta(hours=25)  # longer than the longest pause: after so long without a try, nothing is known any more
NOTED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One of an endpoint's secrets; ``valid_until`` is set once another has taken its place."""

    id: str
    value: str = field(repr=False)
    created_at: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What is known of an endpoint that does not answer well; all absent while it does.

    Attributes:
        failing_since: its first failure after which nothing succeeded.
        failed_at: a recent failure, to within NOTED_EVERY.
        rests_until: its callbacks wait until then; afterwards one of them, the probe, is tried.
        rests: how often in a row it was given a rest.
    """

    failing_since: datetime | None = None
    failed_at: datetime | None = None
    rests_until: datetime | None = None
    rests: int = 0

    @property
    def is_well(self) -> bool:
        """Whether nothing is held against it."""
        return self.failing_since is None and self.rests_until is None

    def is_resting(self, now: datetime) -> bool:
        """Whether its callbacks wait."""
        return self.rests_until is not None and now < self.rests_until

    def needs_note(self, now: datetime) -> bool:
        """Whether a failure now is news."""
        return self.failed_at is None or now - self.failed_at >= NOTED_EVERY

    def has_failed_for(self, now: datetime) -> timedelta:
        """How long it has done nothing but fail, as far as it was tried; after a failure was noted."""
        return timedelta(0) if self.failing_since is None else now - self.failing_since

    def after_failure(self, now: datetime, *, rests: bool) -> "EndpointHealth":
        """Its health after one more failure, and with a rest where it has had enough of them."""
        is_news = self.failing_since is None or self.failed_at is None or now - self.failed_at > QUIET_FOR
        noted = replace(self, failing_since=now if is_news else self.failing_since, failed_at=now)
        if not rests:
            return noted
        rest = min(FIRST_REST * 2 ** min(self.rests, 10), LONGEST_REST)
        return replace(noted, rests_until=now + rest, rests=self.rests + 1)

    def while_probed(self, now: datetime) -> "EndpointHealth | None":
        """Its health while the caller probes it; None when it is not the time, or somebody else's turn."""
        if self.rests_until is None or now < self.rests_until:
            return None
        return replace(self, rests_until=now + PROBE_PATIENCE)


@dataclass(frozen=True, slots=True)
class CallbackEndpoint:
    """Where a consumer wants to be called. ``secrets`` are newest first."""

    id: str
    tenant_id: TenantId
    url: str
    statuses: tuple[str, ...]
    secrets: tuple[SigningSecret, ...] = field(repr=False)
    created_at: datetime
    enabled: bool = True
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    health: EndpointHealth = field(default_factory=EndpointHealth)
    version: str | None = None

    def wants(self, status: str) -> bool:
        """Whether it is to hear of ``status``."""
        return EVERY_STATUS in self.statuses or status in self.statuses

    def secrets_at(self, now: datetime) -> tuple[SigningSecret, ...]:
        """The secrets that are valid, newest first; never none."""
        return tuple(secret for secret in self.secrets if secret.valid_until is None or now < secret.valid_until)

    def signing_keys(self, now: datetime) -> list[str]:
        """What callbacks are signed with."""
        return [secret.value for secret in self.secrets_at(now)]

    def with_secret(self, secret: SigningSecret, overlap: timedelta) -> "CallbackEndpoint":
        """The endpoint with ``secret`` as its current one; the one before stays valid for ``overlap``."""
        until = secret.created_at + overlap
        older = [
            replace(each, valid_until=until if each.valid_until is None else min(each.valid_until, until))
            for each in self.secrets_at(secret.created_at)
        ]
        return replace(self, secrets=(secret, *(each for each in older if each.valid_until != secret.created_at)))

    def without_secret(self, secret_id: str) -> "CallbackEndpoint":
        """The endpoint without one of its secrets."""
        return replace(self, secrets=tuple(each for each in self.secrets if each.id != secret_id))

    def disabled(self, reason: str, now: datetime) -> "CallbackEndpoint":
        """The endpoint, not called any more."""
        return replace(self, enabled=False, disabled_reason=reason, disabled_at=now)

    def enabled_again(self) -> "CallbackEndpoint":
        """The endpoint, called again, with nothing held against it."""
        return replace(self, enabled=True, disabled_reason=None, disabled_at=None, health=EndpointHealth())
