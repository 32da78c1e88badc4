from shared.domain.concurrency_limit import ConcurrencyLimit


def _limit() -> ConcurrencyLimit:
    return ConcurrencyLimit(64, target_seconds=0.2)


def test_while_everything_is_quick_it_stays_where_it_is() -> None:
    limit = _limit()
    for number in range(1000):
        limit.note(0.02, under_way=60, now=number * 0.01)

    assert limit.value == 64


def test_it_falls_by_a_tenth_for_each_round_that_was_slow_and_not_for_each_request() -> None:
    limit = _limit()
    for number in range(100):
        limit.note(0.5, under_way=64, now=number * 0.001)
    once = limit.value
    for number in range(10):
        limit.note(0.5, under_way=64, now=1 + number * 0.25)

    assert once == 64 * 0.9
    assert limit.value < 64 * 0.9**9


def test_it_never_falls_below_the_least() -> None:
    limit = _limit()
    for number in range(1000):
        limit.note(5.0, under_way=64, now=float(number))

    assert limit.value == 2


def test_it_rises_again_by_one_a_round_when_it_is_in_use() -> None:
    limit = _limit()
    limit.value = 10.0
    for _ in range(10):
        limit.note(0.02, under_way=9, now=0.0)
    in_use = limit.value
    for _ in range(100):
        limit.note(0.02, under_way=1, now=0.0)

    assert 10.9 < in_use < 11.1
    assert limit.value == in_use
