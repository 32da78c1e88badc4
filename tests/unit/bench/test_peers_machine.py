"""A comparison says how much of the machine other programs used, and that a busy one is not to be quoted."""

import os

import pytest

from bench.peers.machine import Moment, describe, parse_busy_seconds


def test_idle_waiting_and_guest_time_is_not_busy() -> None:
    second = os.sysconf("SC_CLK_TCK")
    fields = [1, 1, 1, 100, 100, 1, 1, 1, 50, 50]

    assert parse_busy_seconds("cpu  " + " ".join(str(each * second) for each in fields) + "\ncpu0 1 2 3\n") == 6.0


def test_what_is_busy_beyond_ourselves_is_others() -> None:
    assert Moment(110.0, 65.0, 12.0).others_since(Moment(100.0, 50.0, 2.0)) == 0.5


@pytest.mark.parametrize(("cores", "is_quotable"), [(0.1, True), (0.9, False)])
def test_a_busy_machine_is_said(cores: float, is_quotable: bool) -> None:
    assert ("do not quote" not in describe(cores)) == is_quotable
