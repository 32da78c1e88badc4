from datetime import timedelta

import pytest

from shared.domain.notification import Category, Lane
from shared.domain.quarantine import LONGEST_HOLD, SHORTEST_HOLD, Because, Quarantine, Subject
from tests.fakes.clock import START


def _of(tenant: str, template: str | None = None, **fields: object) -> Quarantine:
    return Quarantine(Subject(tenant, template), START, Because.OPERATOR, "ops", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quarantine", "template", "lane", "category", "is_covered"),
    [
        (_of("shop"), "a", Lane.NORMAL, Category.TRANSACTIONAL, True),
        (_of("shop"), None, Lane.LOW, Category.MARKETING, True),
        (_of("shop"), None, Lane.NORMAL, None, True),
        (_of("bank"), "a", Lane.NORMAL, Category.TRANSACTIONAL, False),
        (_of("shop", "a"), "a", Lane.NORMAL, Category.TRANSACTIONAL, True),
        (_of("shop", "a"), "b", Lane.NORMAL, Category.TRANSACTIONAL, False),
        (_of("shop", "a"), None, Lane.NORMAL, Category.TRANSACTIONAL, False),
        (_of("shop"), "a", Lane.HIGH, Category.TRANSACTIONAL, False),
        (_of("shop"), "a", Lane.NORMAL, Category.SECURITY, False),
        (_of("shop", lanes=frozenset({Lane.HIGH})), "a", Lane.HIGH, Category.TRANSACTIONAL, True),
        (_of("shop", categories=frozenset({Category.SECURITY})), "a", Lane.NORMAL, Category.SECURITY, True),
    ],
)
def test_high_and_security_pass_unless_they_are_named(
    quarantine: Quarantine, template: str | None, lane: Lane, category: Category | None, is_covered: bool
) -> None:
    assert quarantine.covers("shop", template, lane, category) is is_covered


def test_what_is_held_for_long_looks_less_often() -> None:
    quarantine = _of("shop")
    holds = [quarantine.hold(START + timedelta(minutes=minutes)) for minutes in (0, 1, 10, 1000)]

    assert holds == [SHORTEST_HOLD, SHORTEST_HOLD, timedelta(minutes=2.5), LONGEST_HOLD]


def test_a_subject_has_a_name_that_is_good_in_a_url() -> None:
    assert Subject("shop").key == "tenant.shop"
    assert Subject("shop", "order-confirmation").key == "template.shop.order-confirmation"
