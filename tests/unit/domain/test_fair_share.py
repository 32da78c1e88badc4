import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fair_share import Tally, dominant, fair_rate

rates = st.floats(0.01, 10_000)
demands_of = st.dictionaries(st.text(min_size=1, max_size=3), rates, min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("demands", "capacity", "rate"),
    [
        ({"a": 10, "b": 20}, 100, math.inf),
        ({"a": 1000, "b": 20}, 100, 80),
        ({"a": 1000, "b": 900}, 100, 50),
        ({"a": 1000, "b": 900, "c": 10}, 100, 45),
        ({"a": 1000}, 100, 100),
        ({}, 100, math.inf),
    ],
)
def test_who_asks_for_less_than_a_fair_share_leaves_the_rest_to_the_others(
    demands: dict[str, float], capacity: float, rate: float
) -> None:
    assert fair_rate(demands, capacity) == rate


@given(demands=demands_of, capacity=rates)
def test_all_together_use_what_there_is_and_no_more(demands: dict[str, float], capacity: float) -> None:
    rate = fair_rate(demands, capacity)
    used = sum(min(demand, rate) for demand in demands.values())

    assert used == pytest.approx(min(capacity, sum(demands.values())))


def test_a_tally_knows_rates_and_forgets() -> None:
    tally = Tally()
    for second in range(60):
        tally.note("steady", 10, now=float(second))
    steady = tally.rates(now=59.0)["steady"]

    assert steady == pytest.approx(10, rel=0.15)
    assert tally.rates(now=200.0) == {}


def test_a_tally_is_bounded_and_keeps_those_who_ask_for_most() -> None:
    tally = Tally()
    for number in range(5000):
        tally.note(f"tenant-{number}", number, now=0.0)

    kept = tally.rates(now=1.0)

    assert len(kept) == 1000
    assert "tenant-4999" in kept


@pytest.mark.parametrize(
    ("seen", "who"),
    [
        ({}, set()),
        ({"a": 1}, {"a"}),
        ({"a": 90, "b": 10}, {"a"}),
        ({"a": 50, "b": 50}, set()),
        ({"a": 45, "b": 45, "c": 10}, {"a", "b"}),
    ],
)
def test_dominant_is_who_has_clearly_more_than_an_average_part(seen: dict[str, float], who: set[str]) -> None:
    assert dominant(seen) == who
