"""Whether a customer may be sent something now, later, or not at all: the rules, each with an id.

Categories fall into classes. *Mandatory* (security, legal) passes whatever the customer said: a code to log in, a
recall, a change of terms. *Transactional* and *marketing* need the customer's silence or consent and respect quiet
hours. An address that is suppressed (it bounced for good, complained, or sent STOP) gets nothing but what is mandatory,
and on the channel it was suppressed on not even that: the provider would refuse it.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.domain.notification import Category
from shared.domain.preferences import ANY_CHANNEL, Consent, Preferences
from shared.domain.quiet_hours import next_allowed
from shared.domain.suppression import Suppression

MANDATORY = frozenset({Category.SECURITY, Category.LEGAL})
UNSUBSCRIBABLE = frozenset({Category.MARKETING})  # what one may end by a link, apart from the rest


@dataclass(frozen=True, slots=True)
class Permission:
    """What the rules say about one delivery.

    Attributes:
        rule: the id of the rule that decided, as docs/consent.md lists it.
        suppressed: why nothing may be sent; None when something may.
        not_before: the earliest instant for it; None means at once.
    """

    rule: str
    suppressed: str | None = None
    not_before: datetime | None = None


def permission(
    category: Category, channel: str, preferences: Preferences | None, now: datetime, address_suppressed: str | None
) -> Permission:
    """What may be done for a customer with these preferences; None stands for one we know nothing about.

    ``address_suppressed`` says why the address must not be sent to, if so.
    """
    if address_suppressed:
        return Permission("consent.address", address_suppressed)
    if category in MANDATORY:
        return Permission("consent.mandatory")
    if preferences is None:
        return Permission("consent.unknown-customer")
    word = consent_for(preferences, category, channel)
    if word is not None and not word.granted:
        return Permission("consent.opted-out", Suppression.OPTED_OUT)
    return _when(preferences, now, "consent.granted" if word else "consent.no-word")


def consent_for(preferences: Preferences, category: Category, channel: str) -> Consent | None:
    """The customer's word that holds for a category on a channel; the more particular one where there are two."""
    return preferences.consents.get((category.value, channel)) or preferences.consents.get(
        (category.value, ANY_CHANNEL)
    )


def _when(preferences: Preferences, now: datetime, rule: str) -> Permission:
    paused = preferences.paused_until
    start = max(now, paused) if paused else now
    allowed = next_allowed(start, preferences.quiet_hours, _zone(preferences)) if preferences.quiet_hours else start
    if allowed <= now:
        return Permission(rule)
    return Permission("consent.quiet-hours" if allowed > start else "consent.paused", not_before=allowed)


def _zone(preferences: Preferences) -> ZoneInfo:
    try:
        return ZoneInfo(preferences.time_zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):  # a zone that was valid when it was stored, and is not known here
        return ZoneInfo("UTC")
