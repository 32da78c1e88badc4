"""The audit trail as operators read it (domain/audit_chain.py says what the hashes cover)."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue, StringConstraints

from shared.contracts.field_types import Inbound, Instant, Outbound
from shared.contracts.query import Cursor, TenantName
from shared.domain.audit_chain import AuditEntry

Action = Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=64)]


class AuditParameters(Inbound):
    """Which entries are wanted."""

    tenant: TenantName
    action: Action | None = None
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None
    cursor: Cursor | None = None


class VerificationParameters(Inbound):
    """Whose chains are to be verified, and from where on."""

    tenant: TenantName
    cursor: Cursor | None = None


class AuditEntryView(Outbound):
    """One act, in its place in the chain."""

    partition: str
    sequence: int
    event_id: str
    tenant: str
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, JsonValue]
    previous_hash: str
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditEntryView":
        """The entry as it goes out."""
        fact = entry.fact
        return cls(
            partition=entry.partition,
            sequence=entry.sequence,
            event_id=fact.event_id,
            tenant=fact.tenant_id,
            at=fact.at,
            actor=fact.actor,
            action=fact.action,
            subject=fact.subject,
            detail=dict(fact.detail),
            previous_hash=entry.previous_hash,
            hash=entry.hash,
        )


class AuditPageView(Outbound):
    """Entries, newest first. ``next`` is the cursor of the page after this one."""

    entries: list[AuditEntryView]
    next: str | None = None


class AuditFaultView(Outbound):
    """The first thing wrong with a partition; ``index`` counts its entries from 0."""

    partition: str
    index: int
    kind: str


class AuditVerificationView(Outbound):
    """What was verified and what is wrong with it. ``next`` is the cursor for what is older still."""

    tenant: str
    partitions: int
    entries: int
    faults: list[AuditFaultView]
    next: str | None = None
