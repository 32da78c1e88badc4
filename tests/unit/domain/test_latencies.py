import random

from shared.domain.latencies import BOUNDS, Latencies


def test_a_percentile_is_at_most_a_bucket_too_high() -> None:
    chance, seen = random.Random(1), Latencies()
    values = sorted(chance.uniform(0.02, 20) for _ in range(5000))
    for value in values:
        seen.note(value)

    for share, got in zip((0.5, 0.95, 0.99), seen.percentiles([0.5, 0.95, 0.99]), strict=True):
        true = values[int(share * len(values)) - 1]
        assert true <= got <= true * 1.6


def test_nothing_noted_is_nothing() -> None:
    assert Latencies().percentiles([0.5]) == [0.0]
    assert Latencies().share_above(1) == 0


def test_the_share_of_what_was_late() -> None:
    seen = Latencies()
    seen.note(0.1, times=98)
    seen.note(7, times=2)

    assert seen.share_above(5) == 0.02


def test_what_is_longer_than_the_longest_counts_there() -> None:
    seen = Latencies()
    seen.note(10_000)

    assert seen.percentiles([0.5]) == [BOUNDS[-1]]
