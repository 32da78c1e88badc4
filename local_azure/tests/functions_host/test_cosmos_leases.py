"""How several hosts share the leases of a change feed."""

from datetime import UTC, datetime, timedelta

import pytest

from local_azure.functions_host.cosmos_leases import Lease, LeaseStore

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def leases(*owners: str, expired: str = "") -> list[Lease]:
    """One lease for each named owner; a '' is free, the owner named by `expired` has not renewed for two minutes."""
    made = []
    for number, owner in enumerate(owners):
        age = timedelta(minutes=2 if owner == expired else 0)
        made.append(Lease({"id": f"lease{number}", "Owner": owner, "timestamp": (NOW - age).isoformat()}))
    return made


@pytest.mark.parametrize(
    ("owners", "expired", "taken"),
    [
        (("", "", ""), "", "012"),
        (("me", "", ""), "", "012"),
        (("other", "", "", ""), "", "12"),
        (("other", "other", "other", "other"), "", "0"),
        (("other", "other", "me", "me"), "", "23"),
        (("other", "other", "other"), "", "0"),
        (("other", "me", "me"), "", "12"),
        (("dead", "dead"), "dead", "01"),
        (("me", "me"), "me", "01"),
        (("a", "b", "c"), "", ""),
    ],
)
def test_each_host_takes_its_fair_share(owners, expired, taken):
    store = LeaseStore(None, prefix="p", owner="me", expiration_seconds=60, clock=lambda: NOW)

    chosen = store.to_take(leases(*owners, expired=expired))

    assert sorted(lease.id[-1] for lease in chosen) == list(taken)
