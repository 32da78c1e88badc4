from shared.domain.request_allowance import BURST_SECONDS, Allowance


def test_a_trickle_is_granted_without_asking() -> None:
    allowance = Allowance(per_second=100)

    granted = [allowance.grant(1, now=float(second)) for second in range(10)]

    assert granted == [True] * 10


def test_what_goes_beyond_the_trickle_must_be_leased() -> None:
    allowance = Allowance(per_second=100)
    allowance.grant(1, now=0)

    assert not allowance.grant(1, now=0.1)
    assert allowance.to_lease(1) == 10
    assert allowance.to_lease(1000) == 1000

    allowance.add(10, now=0.1)
    assert [allowance.grant(1, now=0.2) for _ in range(11)] == [True] * 10 + [False]


def test_what_is_not_used_in_its_time_is_lost() -> None:
    allowance = Allowance(per_second=100)
    allowance.grant(1, now=0)
    allowance.add(10, now=0)

    assert not allowance.grant(2, now=BURST_SECONDS + 0.1)
