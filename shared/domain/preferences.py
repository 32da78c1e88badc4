"""What a customer wants, and how a customer can be reached, as one tenant knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from shared.domain.channel import Recipient
from shared.domain.identifiers import TenantId


@dataclass(frozen=True, slots=True)
class Consent:
    """A customer's word about one category on one channel; ``source`` says where it was given, as a proof."""

    granted: bool
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From ``start`` to ``end`` on the customer's clock, over midnight when ``start`` is later; they differ."""

    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Preferences:
    """One customer's profile. Everything is optional: what is not known decides nothing.

    Attributes:
        addresses: the fields that channels declare for recipients, by name and in their types.
        consents: by category and channel; the channel ``*`` stands for all that have no word of their own.
        time_zone: an IANA name; quiet hours without one are kept in UTC.
        fallback_order: the channels to try one after another, when the consumer leaves the order to the customer.
        paused_until: nothing but what is mandatory is sent before.
        changed_at: when any of it was last changed.
    """

    addresses: Mapping[str, Any] = field(default_factory=dict)
    locale: str | None = None
    time_zone: str | None = None
    consents: Mapping[tuple[str, str], Consent] = field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    fallback_order: tuple[str, ...] = ()
    paused_until: datetime | None = None
    changed_at: datetime | None = None

    def completed(self, recipient: Recipient) -> Recipient:
        """The recipient of a request, with what the request leaves open taken from the profile."""
        return Recipient(recipient.customer_id, {**self.addresses, **recipient.written})


ANY_CHANNEL = "*"


@dataclass(frozen=True, slots=True)
class PreferencesVersion:
    """A profile and the version it has in the store."""

    preferences: Preferences
    version: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for a tenant at all: a tenant without any costs no look-up."""

    profiles: bool = False
    suppressions: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a customer or an address has changed; ``subject`` names it, without personal data."""

    id: str
    tenant: TenantId
    subject: str
    at: float
