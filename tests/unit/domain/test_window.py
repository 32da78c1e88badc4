from hypothesis import given
from hypothesis import strategies as st

from shared.domain.window import A_DAY, A_MINUTE, Window


@given(
    window=st.builds(Window, st.integers(1, 3600), st.integers(1, 30)),
    at=st.floats(1e9, 2e9),
    later=st.floats(0, 100_000),
)
def test_what_lies_within_the_window_counts_and_what_is_a_bucket_older_does_not(
    window: Window, at: float, later: float
) -> None:
    counts = window.is_counted(window.bucket_at(at), window.bucket_at(at + later))

    if later < window.seconds:
        assert counts
    if later >= window.seconds + window.bucket_seconds:
        assert not counts


def test_windows_are_what_they_are_called() -> None:
    assert (A_MINUTE.seconds, A_DAY.seconds) == (60, 24 * 3600)
