from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.frequency import counted
from shared.domain.tenant_policy import FrequencyCap

THREE_A_DAY = FrequencyCap(3, timedelta(hours=24))
DAY = 24 * 3600.0


def test_one_too_many_is_not_counted() -> None:
    sends = {"a": 1.0, "b": 2.0, "c": 3.0}

    assert counted(sends, "d", 10.0, THREE_A_DAY) is None


def test_what_is_asked_for_again_counts_once() -> None:
    sends = {"a": 1.0, "b": 2.0, "c": 3.0}

    assert counted(sends, "b", 10.0, THREE_A_DAY) == sends


def test_room_comes_back_when_the_first_leaves_the_window() -> None:
    sends = {"a": 1.0, "b": 2.0, "c": 3.0}

    assert counted(sends, "d", 1.0 + DAY, THREE_A_DAY) == {"b": 2.0, "c": 3.0, "d": 1.0 + DAY}


@given(
    gaps=st.lists(st.floats(0, 100), min_size=1, max_size=60),
    cap=st.builds(FrequencyCap, st.integers(1, 5), st.integers(1, 300).map(lambda seconds: timedelta(seconds=seconds))),
)
def test_no_window_holds_more_than_the_cap_however_it_lies(gaps: list[float], cap: FrequencyCap) -> None:
    sends: dict[str, float] = {}
    let_through: list[float] = []
    now = 0.0
    for number, gap in enumerate(gaps):
        now += gap
        after = counted(sends, str(number), now, cap)
        if after is not None:
            sends = after
            let_through.append(now)

    for at in let_through:
        assert sum(at - cap.per.total_seconds() < other <= at for other in let_through) <= cap.sends
