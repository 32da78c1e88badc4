from itertools import islice
from random import Random

from bench.faults.killing import WORKER, Rhythm, deaths
from bench.faults.scenarios.providers import busiest_second

RHYTHM = Rhythm(workers=(0.2, 2.0), parts=(12.0, 18.0))


def plan(seed, count=400):
    return list(islice(deaths(Random(seed), RHYTHM), count))


def test_a_seed_gives_the_same_plan_and_another_seed_another():
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


def test_something_dies_every_200_ms_to_2_s():
    assert all(0.2 <= death.pause <= 2.0 for death in plan(1))


def test_each_part_comes_round_in_turn_between_the_workers():
    parts = [death.target for death in plan(1) if death.target != WORKER]

    assert set(parts[:3]) == {"functions_host", "servicebus", "cosmos"}
    assert parts[3:6] == parts[:3]


def test_a_part_has_time_to_come_back_before_the_next_one_dies():
    at, last = 0.0, None
    for death in plan(1):
        at += death.pause
        if death.target != WORKER:
            assert last is None or at - last >= 11.9
            last = at


def test_the_busiest_second_is_found_wherever_it_begins():
    assert busiest_second([]) == 0
    assert busiest_second([0.0, 0.9, 1.1, 1.8, 1.89]) == 4
    assert busiest_second([0.0, 1.0, 2.0]) == 1
