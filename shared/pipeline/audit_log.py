"""The audit trail as use cases see it: ``services.audit``.

Append before acting: an entry says what was ordered and by whom, so that nothing happens that is not recorded. An act
that then fails has an entry all the same; what came of it stands where the act has its effect.
"""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.audit_chain import AuditEntry, AuditFact, Head
from shared.domain.identifiers import TenantId


class AuditLog(Protocol):
    """``audit-logs``: chains of entries, one for each tenant and hour. Every method raises StoreUnavailable."""

    async def append(self, fact: AuditFact) -> None:
        """The fact is in its partition's chain; once, however often it is appended."""
        ...

    async def newest(self, tenant: TenantId) -> Sequence[str]:
        """The tenant's newest partitions, newest first, down to one that has entries; empty when there are none."""
        ...

    async def entries(self, partition: str, before: int, limit: int) -> Sequence[AuditEntry]:
        """Up to ``limit`` entries of a partition with a sequence below ``before``, newest first."""
        ...

    async def head(self, partition: str) -> Head:
        """The partition's head; of count 0 when there is none."""
        ...
