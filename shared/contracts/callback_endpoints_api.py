"""Callback endpoints as they are registered, tested, given new secrets, and shown."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shared.contracts.examples import CALLBACK_ENDPOINT_EXAMPLE
from shared.contracts.field_types import Inbound, Label, Line, MetadataValue, Outbound, plain
from shared.contracts.http_api import MAX_METADATA_ENTRIES
from shared.domain.callback_endpoint import CallbackEndpoint

MAX_BODY_BYTES = 16 * 1024
USUAL_OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 7 * 24

WantedStatus = Literal["SENT", "DELIVERED", "FAILED", "BOUNCED", "UNSUBSCRIBED", "*"]


class RegisterCallbackEndpoint(Inbound):
    """Where a consumer wants to be called, and about what; ``*`` is about everything there is."""

    model_config = ConfigDict(json_schema_extra={"examples": [CALLBACK_ENDPOINT_EXAMPLE]})

    url: Annotated[str, plain(2048)]
    statuses: Annotated[list[WantedStatus], Field(min_length=1, max_length=8)]
    description: Line | None = None
    metadata: Annotated[dict[Label, MetadataValue], Field(max_length=MAX_METADATA_ENTRIES, default_factory=dict)]


class RotateSecret(Inbound):
    """A new secret, and how long the one before stays valid beside it; 0 revokes it at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlapHours": USUAL_OVERLAP_HOURS}]})

    overlap_hours: Annotated[int, Field(strict=True, ge=0, le=MAX_OVERLAP_HOURS)] = USUAL_OVERLAP_HOURS

    @property
    def overlap(self) -> timedelta:
        """How long both are valid."""
        return timedelta(hours=self.overlap_hours)


class SecretView(Outbound):
    """One of an endpoint's secrets, without itself; ``valid_until`` where another has taken its place."""

    id: str
    created_at: datetime
    valid_until: datetime | None = None


class CallbackEndpointView(Outbound):
    """A registered callback endpoint; ``secret`` only in the answer that made it.

    ``state`` is ``enabled``, or ``disabled:`` and why. ``failing_since`` and ``waits_until`` are there while it fails.
    """

    id: str
    url: str
    statuses: list[str]
    state: str
    created_at: datetime
    description: str | None = None
    metadata: dict[str, str] | None = None
    disabled_at: datetime | None = None
    failing_since: datetime | None = None
    waits_until: datetime | None = None
    secrets: list[SecretView]
    secret: str | None = None

    @classmethod
    def of(cls, endpoint: CallbackEndpoint, now: datetime, secret: str | None = None) -> "CallbackEndpointView":
        """The endpoint as it goes out."""
        return cls(
            id=endpoint.id,
            url=endpoint.url,
            statuses=list(endpoint.statuses),
            state="enabled" if endpoint.enabled else f"disabled:{endpoint.disabled_reason}",
            created_at=endpoint.created_at,
            description=endpoint.description,
            metadata=_present(endpoint.metadata),
            disabled_at=endpoint.disabled_at,
            failing_since=endpoint.health.failing_since,
            waits_until=endpoint.health.rests_until if endpoint.health.is_resting(now) else None,
            secrets=[
                SecretView(id=each.id, created_at=each.created_at, valid_until=each.valid_until)
                for each in endpoint.secrets_at(now)
            ],
            secret=secret,
        )


def _present(metadata: Mapping[str, str]) -> dict[str, str] | None:
    return dict(metadata) or None


class CallbackEndpointListView(Outbound):
    """The caller's endpoints."""

    endpoints: list[CallbackEndpointView]


class CallbackTestView(Outbound):
    """What came of a test event.

    ``problem`` is absent when the endpoint answered 2xx. ``reply`` is how its answer begins, masked.
    """

    webhook_id: str
    delivered: bool
    status: int | None = None
    problem: str | None = None
    latency_ms: int
    reply: str | None = None
