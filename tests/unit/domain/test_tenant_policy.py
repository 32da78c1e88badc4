import itertools

import pytest

from shared.domain.tenant_policy import Mode, TenantPolicy

CUSTOMERS = [f"cust-{number}" for number in range(5000)]


def _live(policy: TenantPolicy, tenant: str = "shop") -> set[str]:
    return {customer for customer in CUSTOMERS if policy.is_live_for(tenant, customer)}


def test_nothing_decided_means_that_everybody_is_sent_to() -> None:
    policy = TenantPolicy()

    assert _live(policy) == set(CUSTOMERS)
    assert not policy.may_withhold


@pytest.mark.parametrize("policy", [TenantPolicy(mode=Mode.SHADOW), TenantPolicy(live_percent=0)])
def test_shadow_and_a_share_of_nothing_send_to_nobody(policy: TenantPolicy) -> None:
    assert _live(policy) == set()
    assert policy.may_withhold


@pytest.mark.parametrize("percent", [1, 10, 50, 90, 99])
def test_a_share_is_about_that_share(percent: int) -> None:
    share = len(_live(TenantPolicy(live_percent=percent))) / len(CUSTOMERS)

    assert abs(share - percent / 100) < 0.03


def test_a_larger_share_takes_nobody_away() -> None:
    shares = [_live(TenantPolicy(live_percent=percent)) for percent in range(0, 101, 10)]

    assert all(smaller <= larger for smaller, larger in itertools.pairwise(shares))


def test_the_same_customers_of_another_tenant_are_not_chosen_alike() -> None:
    policy = TenantPolicy(live_percent=50)

    assert _live(policy, "shop") != _live(policy, "bank")


def test_who_is_chosen_never_changes() -> None:
    """A golden value: a change of the hash would move customers between two systems in mid-migration."""
    policy = TenantPolicy(live_percent=30)

    assert [c for c in CUSTOMERS[:20] if policy.is_live_for("shop", c)] == [
        "cust-0",
        "cust-3",
        "cust-6",
        "cust-10",
        "cust-12",
        "cust-17",
    ]
