from shared.adapters.store_meter import StoreMeter
from tests.fakes.lane_board import Seconds


def _meter(throttled: int, fine: int) -> tuple[StoreMeter, Seconds]:
    seconds = Seconds()
    meter = StoreMeter(seconds)
    for status in [429] * throttled + [201] * fine:
        meter.count(status)
    return meter, seconds


def test_the_share_of_what_was_refused_for_load() -> None:
    meter, _ = _meter(throttled=5, fine=95)

    assert meter.throttled_share() == 0.05


def test_a_few_calls_say_nothing() -> None:
    meter, _ = _meter(throttled=9, fine=9)

    assert meter.throttled_share() == 0


def test_what_is_older_than_some_seconds_is_forgotten() -> None:
    meter, seconds = _meter(throttled=50, fine=0)
    seconds.advance(3)
    for _ in range(50):
        meter.count(200)
    mixed = meter.throttled_share()
    seconds.advance(3)

    assert (mixed, meter.throttled_share()) == (0.5, 0)


def test_an_answer_is_taken_as_the_sdk_hands_it_over() -> None:
    class Http:
        status_code = 429

    class Response:
        http_response = Http()

    meter, _ = _meter(0, 30)
    for _ in range(10):
        meter.note(Response())

    assert meter.throttled_share() == 0.25
