"""The rules by which something may be sent, each with its id."""

from datetime import UTC, datetime, time, timedelta

import pytest

from shared.domain.consent import Permission, permission
from shared.domain.notification import Category
from shared.domain.preferences import ANY_CHANNEL, Consent, Preferences, QuietHours

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 25, 23, tzinfo=UTC)
YES, NO = (Consent(granted=granted, source="form", at=NOON) for granted in (True, False))
QUIET = QuietHours(time(22), time(7))


def _decide(
    category: Category, preferences: Preferences | None, now: datetime = NOON, suppressed: str | None = None
) -> Permission:
    return permission(category, "email", preferences, now, suppressed)


@pytest.mark.parametrize("category", [Category.SECURITY, Category.LEGAL])
def test_what_is_mandatory_passes_opt_outs_quiet_hours_and_pauses(category: Category):
    silent = Preferences(
        consents={(category.value, ANY_CHANNEL): NO}, quiet_hours=QUIET, paused_until=NIGHT + timedelta(days=9)
    )

    assert _decide(category, silent, NIGHT) == Permission("consent.mandatory")


@pytest.mark.parametrize("category", list(Category))
def test_a_suppressed_address_gets_nothing_at_all(category: Category):
    assert _decide(category, None, suppressed="address_bounced").suppressed == "address_bounced"


@pytest.mark.parametrize(
    ("consents", "rule"),
    [
        ({}, "consent.no-word"),
        ({("marketing", "email"): YES}, "consent.granted"),
        ({("marketing", "email"): NO}, "consent.opted-out"),
        ({("marketing", ANY_CHANNEL): NO}, "consent.opted-out"),
        ({("marketing", ANY_CHANNEL): NO, ("marketing", "email"): YES}, "consent.granted"),
        ({("marketing", ANY_CHANNEL): YES, ("marketing", "email"): NO}, "consent.opted-out"),
        ({("marketing", "sms"): NO}, "consent.no-word"),
        ({("transactional", "email"): NO}, "consent.no-word"),
    ],
)
def test_the_more_particular_word_decides(consents: dict[tuple[str, str], Consent], rule: str):
    decided = _decide(Category.MARKETING, Preferences(consents=consents))

    assert decided.rule == rule
    assert decided.suppressed == ("opted_out" if rule == "consent.opted-out" else None)


def test_a_customer_nobody_knows_is_the_consumers_to_know():
    assert _decide(Category.MARKETING, None) == Permission("consent.unknown-customer")


def test_quiet_hours_put_off_until_the_customers_morning():
    berlin = Preferences(quiet_hours=QUIET, time_zone="Europe/Berlin")
    decided = _decide(Category.TRANSACTIONAL, berlin, NIGHT)

    assert decided == Permission("consent.quiet-hours", not_before=datetime(2026, 11, 26, 6, tzinfo=UTC))


def test_a_pause_puts_off_and_quiet_hours_at_its_end_put_off_further():
    paused = Preferences(paused_until=NIGHT)
    both = Preferences(paused_until=NIGHT, quiet_hours=QUIET)

    assert _decide(Category.MARKETING, paused) == Permission("consent.paused", not_before=NIGHT)
    assert _decide(Category.MARKETING, both).not_before == datetime(2026, 11, 26, 7, tzinfo=UTC)


def test_a_zone_that_is_not_known_here_counts_as_utc():
    assert _decide(Category.MARKETING, Preferences(quiet_hours=QUIET, time_zone="Moon/Base"), NIGHT).not_before == (
        datetime(2026, 11, 26, 7, tzinfo=UTC)
    )
