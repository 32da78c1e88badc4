"""When a part that died starts again."""

from local_azure.up.restart_policy import RestartPolicy


def test_the_wait_doubles_up_to_30_seconds_while_a_part_keeps_dying_soon():
    policy = RestartPolicy()

    waits = [policy.seconds_until_restart(now=100.0 * n, healthy_seconds=2) for n in range(7)]

    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_a_part_that_was_healthy_for_a_while_starts_again_after_a_second():
    policy = RestartPolicy()
    for now in range(3):
        policy.seconds_until_restart(now=now, healthy_seconds=1)

    assert policy.seconds_until_restart(now=60, healthy_seconds=10) == 1


def test_the_fifth_death_within_a_minute_without_ever_being_healthy_gives_up():
    policy = RestartPolicy()

    waits = [policy.seconds_until_restart(now=12.0 * n, healthy_seconds=None) for n in range(5)]

    assert waits == [1, 2, 4, 8, None]


def test_being_healthy_once_forgets_earlier_deaths_and_slow_deaths_never_give_up():
    policy = RestartPolicy()
    for now in range(4):
        policy.seconds_until_restart(now=now, healthy_seconds=None)
    assert policy.seconds_until_restart(now=5, healthy_seconds=0.5) is not None
    assert policy.seconds_until_restart(now=6, healthy_seconds=None) is not None

    slow = RestartPolicy()

    assert None not in [slow.seconds_until_restart(now=20.0 * n, healthy_seconds=None) for n in range(20)]
