"""What can become of one recipient's part of a provider call.

The vocabulary that magic recipients, fault profiles, the ledger and the receipts share.
"""

from __future__ import annotations

from dataclasses import dataclass

SENT_AND_DELIVERED = ("sent", "delivered")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way a call can end.

    `accepted` says whether the message reached the provider for good: it is what a checker counts, whatever the caller
    saw. `status` is the HTTP status of a refusal (0: the vendor's own success status). A call that `drips` is answered
    one byte a second. `steps` are the receipts that follow, in the order they are posted, each one receipt delay after
    the one before.
    """

    name: str
    accepted: bool = True
    status: int = 0
    steps: tuple[str, ...] = SENT_AND_DELIVERED
    delay_ms: int = 0
    retry_after_seconds: int = 0
    cuts_connection: bool = False
    garbled: bool = False
    drips: bool = False
    posts_twice: bool = False
    forges_signature: bool = False
    receipt_delay_ms: int | None = None

    @property
    def decides_the_answer(self) -> bool:
        """True when the HTTP answer differs from the vendor's plain success."""
        return not self.accepted or self.delay_ms > 0 or self.cuts_connection or self.garbled or self.drips


def refused(name: str, status: int, *, retry_after_seconds: int = 0) -> Outcome:
    return Outcome(name, accepted=False, status=status, steps=(), retry_after_seconds=retry_after_seconds)


DELIVERED = Outcome("delivered")
INVALID = refused("invalid", 400)
UNAUTHORIZED = refused("unauthorized", 401)
HANG_MS = 60_000
SLOW_MS = 5_000
