"""Ratios of the comparison: medians of all rounds, CNS over peer, held against their targets."""

import pytest

from bench.peers.closed_loop import post
from bench.peers.comparison import Ratio, medians, ratios
from bench.peers.measurement import Numbers
from bench.peers.report import markdown
from bench.peers.subject import Accepting, Delivering, Outcome, Usage


def _outcome(name: str, *, own: float, beside: float, accept_rate: float | None = 300.0) -> Outcome:
    accepting = None if accept_rate is None else Accepting(accept_rate, 20.0, 30.0, 40.0, Usage(4.0, 1.0))
    draining = accepting and Delivering(500.0, Usage(0.8, 0.2))
    return Outcome(name, accepting, draining, Delivering(250.0, Usage(own, beside)), Usage(170.0, 160.0))


_ROUND = [
    _outcome("peer", own=6.0, beside=1.5),
    _outcome("single", own=3.0, beside=4.0, accept_rate=900.0),
    _outcome("batch", own=0.3, beside=0.3, accept_rate=None),
]


def _by_name() -> dict[str, Ratio]:
    return {ratio.what: ratio for ratio in ratios(medians([_ROUND]), "peer", "single", "batch", has_targets=True)}


def test_the_median_of_the_rounds_counts() -> None:
    rounds = [[_outcome("peer", own=own, beside=1.0)] for own in (9.0, 6.0, 7.0)]

    assert medians(rounds)["peer"]["together.cpu.own"] == 7.0


def test_what_was_not_measured_has_no_figure() -> None:
    assert "accept.rate" not in medians([_ROUND])["batch"]


@pytest.mark.parametrize(
    ("what", "value", "met"),
    [
        ("accepting process: requests a second", 3.0, True),
        ("singles: app worker / peer with its servers", 0.4, True),
        ("singles: the same, peer's accept + drain", 0.5, True),
        ("batches: app worker / peer with its servers", 0.04, True),
        ("batches: the same, peer's accept + drain", 0.05, True),
        ("singles: app and stand-ins / peer with its servers", 7 / 7.5, None),
        ("singles: app worker / peer's Python alone", 0.5, None),
    ],
)
def test_a_ratio_is_cns_over_peer(what: str, value: float, met: bool | None) -> None:
    ratio = _by_name()[what]

    assert (pytest.approx(ratio.value), ratio.is_met) == (value, met)


def test_only_the_peer_the_targets_are_about_has_them() -> None:
    without = ratios(medians([_ROUND]), "peer", "single", "batch", has_targets=False)

    assert [ratio.target for ratio in without] == [None] * len(without)


def test_a_missed_target_is_said_in_the_report() -> None:
    slow = [*_ROUND[:2], _outcome("batch", own=3.0, beside=0.3, accept_rate=None)]
    found = medians([slow])

    text = markdown(found, {"peer": ratios(found, "peer", "single", "batch", has_targets=True)}, {"when": "today"})

    assert "| batches: app worker / peer with its servers | 3.00 | 7.50 | CPU s per 1,000 | 1/2.5 | ≤ 1/15.0 |" in text
    assert text.count("**missed**") == 2
    assert "| accepting process: requests a second | 900 | 300 | req/s | 3.00x | ≥ 3.00x | met |" in text


def test_the_report_says_what_is_not_comparable_and_leaves_gaps_open() -> None:
    text = markdown(medians([_ROUND]), {}, {})

    assert "no TLS anywhere" in text
    assert "GOV.UK Notify" in text
    assert "| batch | - | - | - | - | - | 250 | 170 | 160 |" in text


def test_usage_is_spread_over_thousands() -> None:
    assert Usage(5.0, 3.0).since(Usage(1.0, 1.0)).per_thousand(2000) == Usage(2.0, 1.0)


def test_a_request_is_complete_http() -> None:
    raw = post("/v1/notifications", b"{}", {"x-idempotency-key": "k"})

    assert raw.startswith(b"POST /v1/notifications HTTP/1.1\r\nhost: 127.0.0.1\r\n")
    assert raw.endswith(b"x-idempotency-key: k\r\ncontent-length: 2\r\n\r\n{}")


def test_no_number_is_given_twice() -> None:
    numbers = Numbers()

    assert [*numbers.take(2), *numbers.take(2)] == [0, 1, 2, 3]
