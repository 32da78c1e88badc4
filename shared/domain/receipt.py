"""What a provider tells us about an attempt after it took it, in one vocabulary for all providers.

Delivery events move a delivery's status; engagement never does. A provider's word that we don't know becomes
``UNKNOWN`` and keeps the raw code, so nothing is lost and nothing is guessed.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ReceiptKind(StrEnum):
    """What happened, as far as the provider can tell."""

    SENT = "sent"  # handed on towards the recipient
    DELIVERED = "delivered"  # the recipient's side took it
    BOUNCED = "bounced"  # the recipient's side refused it, after the provider had accepted
    FAILED = "failed"  # the provider gave up
    DEFERRED = "deferred"  # the provider is still trying; no change of status
    OPENED = "opened"  # engagement
    CLICKED = "clicked"  # engagement
    COMPLAINED = "complained"  # engagement: the recipient called it spam
    UNSUBSCRIBED = "unsubscribed"  # engagement: the recipient wants no more of it
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One provider event about one attempt."""

    attempt_id: str
    kind: ReceiptKind
    occurred_at: datetime
    raw_code: str
    reason: str | None = None
    provider_message_id: str | None = None
