import pytest

from bench.quantiles import Spread, growth, percentile, spread


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.95, 95), (0.951, 96), (0.99, 99), (1.0, 100)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share, expected):
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_every_percentile_of_one_value_is_that_value():
    assert [percentile([7.0], share) for share in (0, 0.5, 0.99, 1)] == [7.0] * 4


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_a_percentile_of_nothing_or_beyond_its_range_is_refused(values, share):
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_a_spread_is_median_and_range():
    assert spread([3.0, 1.0, 2.0]) == Spread(median=2.0, low=1.0, high=3.0, count=3)


def test_a_spread_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_growth_compares_the_last_with_the_least_before_it():
    assert growth([9.0, 0.5, 1.0]) == 2.0
