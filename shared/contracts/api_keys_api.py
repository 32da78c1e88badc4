"""``/v1/api-keys``: keys as consumers make and see them. A key itself is shown once, when it is made or rotated."""

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.contracts.field_types import Inbound, Instant, Label, Outbound, plain
from shared.contracts.query import TenantName
from shared.domain.api_key import MAX_RECIPIENTS, ApiKey, KeyKind

MAX_KEY_BODY_BYTES = 64 * 1024
DEFAULT_LIFETIME = timedelta(days=365)
MAX_LIFETIME = timedelta(days=730)
MAX_OVERLAP_HOURS = 168
DEFAULT_OVERLAP_HOURS = 24

Recipients = Annotated[list[Annotated[str, plain(4096)]], Field(min_length=1, max_length=MAX_RECIPIENTS)]


# A consumer's work. Operators, and whoever makes keys or erases people, use tokens.
GrantableRole = Literal["Notifications.Send", "Notifications.Read", "Preferences.Write", "Templates.Admin"]


class ApiKeyParameters(Inbound):
    """Whose keys are wanted; the caller's own without a tenant."""

    tenant: TenantName | None = None


class CreateApiKey(Inbound):
    """The key that is wanted. ``tenant`` is for operators; without it the key is the caller's own tenant's."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "order service", "kind": "live", "roles": ["Notifications.Send"]}]}
    )

    name: Label
    kind: KeyKind
    roles: Annotated[list[GrantableRole], Field(min_length=1)]
    expires_at: Instant | None = None
    recipients: Recipients | None = None
    tenant: TenantName | None = None

    @model_validator(mode="after")
    def _lists_recipients_for_a_team(self) -> Self:
        if (self.recipients is not None) != (self.kind is KeyKind.TEAM):
            raise ValueError("recipients are required for a key of kind team, and for no other")
        return self


class RotateApiKey(Inbound):
    """How long the secret before stays valid."""

    overlap_hours: Annotated[int, Field(ge=0, le=MAX_OVERLAP_HOURS, strict=True)] = DEFAULT_OVERLAP_HOURS


class ReplaceRecipients(Inbound):
    """Whom a key of kind team may send to: mailboxes, numbers, device tokens, URLs."""

    recipients: Recipients


class ApiKeyView(Outbound):
    """A key; ``key`` only in the answer that made it."""

    id: str
    tenant: str
    kind: str
    name: str
    roles: list[str]
    state: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    old_secret_until: datetime | None = None
    recipients: int | None = None
    key: str | None = None

    @classmethod
    def of(cls, key: ApiKey, now: datetime, secret: str | None = None) -> Self:
        """The key as it goes out, with its ``secret`` where it was just made."""
        old = [each.until for each in key.digests if each.until and each.until > now]
        return cls(
            id=key.id,
            tenant=key.tenant_id,
            kind=key.kind.value,
            name=key.name,
            roles=sorted(key.roles),
            state="revoked" if key.revoked_at else "active" if key.is_active(now) else "expired",
            created_at=key.created_at,
            created_by=key.created_by,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
            old_secret_until=old[0] if old else None,
            recipients=len(key.recipients) if key.kind is KeyKind.TEAM else None,
            key=secret,
        )


class ApiKeysView(Outbound):
    """A tenant's keys, newest first."""

    keys: list[ApiKeyView]
