"""The container ``dead-letters`` as use cases see it."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.dead_letter import DeadLetter, ReplayMark, Selection
from shared.domain.identifiers import TenantId


class DeadLetterStore(Protocol):
    """``dead-letters``: what was given up, by tenant and day. Every method raises StoreUnavailable."""

    async def file(self, letter: DeadLetter) -> bool:
        """Whether the letter is new; a copy of one that is filed already is counted there."""
        ...

    async def read(self, tenant: TenantId, letter_id: str) -> DeadLetter:
        """One letter. Raises NotFound."""
        ...

    async def newest(self, selection: Selection, day: str, before: str | None, limit: int) -> Sequence[DeadLetter]:
        """Up to ``limit`` letters of one day that stand before a position, newest first."""
        ...

    async def oldest(self, selection: Selection, day: str, after: str | None, limit: int) -> Sequence[DeadLetter]:
        """Up to ``limit`` letters of one day that stand after a position, oldest first."""
        ...

    async def count(self, selection: Selection) -> int:
        """How many letters there are."""
        ...

    async def take(self, letter: DeadLetter, mark: ReplayMark) -> bool:
        """Whether the letter belongs to that replay from here on, or did already; False when to another."""
        ...
