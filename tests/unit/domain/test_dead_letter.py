from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.dead_letter import (
    BUS,
    DeadDelivery,
    DeadLetter,
    DeadMessage,
    Tag,
    tag_of_delivery,
    tag_of_message,
)
from shared.domain.identifiers import AttemptId, TenantId, TrackingId
from shared.domain.notification import Attempt, Lane
from shared.domain.status import DeliveryStatus

AT = datetime(2026, 11, 24, 23, 59, 59, 999000, tzinfo=UTC)


def an_attempt(outcome: str | None, number: int = 1) -> Attempt:
    return Attempt(AttemptId(f"a.{number}"), number, AT - timedelta(seconds=1), "p", outcome, "why", finished_at=AT)


@pytest.mark.parametrize(
    ("status", "reason", "outcome", "tag"),
    [
        ("failed", "attempts_exhausted", "transient", Tag.EXHAUSTED),
        ("failed", "attempts_exhausted", "throttled", Tag.EXHAUSTED),
        ("failed", "attempts_exhausted", "indoubt", Tag.EXHAUSTED),
        ("failed", "attempts_exhausted", None, Tag.EXHAUSTED),
        ("failed", "attempts_exhausted", "misconfigured", Tag.MISCONFIGURED),
        ("failed", "not_carried", "held", Tag.MISCONFIGURED),
        ("failed", "platform_not_supported", "notcarried", Tag.MISCONFIGURED),
        ("failed", "template_unusable", "rejected", Tag.POISON),
        ("failed", "content_refused", "rejected", Tag.POISON),
        ("failed", "content_too_large", "rejected", Tag.REJECTED),
        ("failed", "invalid_content", "rejected", Tag.REJECTED),
        ("failed", "invalid_request", "rejected", Tag.REJECTED),
        ("failed", "http_418", "rejected", Tag.REJECTED),
        ("expired", None, None, Tag.EXPIRED),
        ("expired", "too_many_requests", "throttled", Tag.EXPIRED),
        # About the recipient: nobody has to act, and nobody can.
        ("failed", "invalid_address", "rejected", None),
        ("failed", "unsubscribed", "rejected", None),
        ("failed", "device_unregistered", "rejected", None),
        ("failed", "suppressed_by_provider", "rejected", None),
        # Decisions of ours, and what providers report later.
        ("failed", "dropped_in_doubt", "indoubt", None),
        ("failed", "hard_bounce", "sent", None),
        ("failed", None, "sent", None),
        ("sent", None, "sent", None),
        ("delivered", None, "sent", None),
        ("bounced", "hard_bounce", "sent", None),
        ("retrying", "attempts_exhausted", "transient", None),
        ("in_doubt", "timeout", "indoubt", None),
    ],
)
def test_a_tag_says_who_has_to_act(status: str, reason: str | None, outcome: str | None, tag: Tag | None) -> None:
    assert tag_of_delivery(DeliveryStatus(status), reason, an_attempt(outcome)) == tag


@pytest.mark.parametrize(
    ("reason", "is_readable", "tag"),
    [
        ("TTLExpiredException", True, Tag.EXPIRED),
        ("TTLExpiredException", False, Tag.EXPIRED),
        ("MaxDeliveryCountExceeded", True, Tag.UNPROCESSED),
        ("MaxDeliveryCountExceeded", False, Tag.POISON),
        ("somebody's own word", True, Tag.UNPROCESSED),
        (None, False, Tag.POISON),
    ],
)
def test_the_brokers_word_becomes_a_tag(reason: str | None, is_readable: bool, tag: Tag) -> None:
    assert tag_of_message(reason, is_readable=is_readable) == tag


def test_a_letters_name_is_its_day_and_what_died() -> None:
    delivery = DeadDelivery(TrackingId("T"), "sms", Lane.HIGH, 4, ())
    message = DeadMessage("callbacks", "d" * 64, 9)

    assert DeadLetter(TenantId("shop"), Tag.EXHAUSTED, "r", AT, delivery, AT).id == "20261124.T.sms.4"
    assert DeadLetter(BUS, Tag.POISON, "r", AT, message, AT).id == "20261124." + "d" * 40
