import asyncio
from datetime import timedelta

import pytest

from shared.adapters.cosmos_tenant_policies import (
    ASKED_AGAIN_AFTER_SECONDS,
    CONTAINER,
    FRESH_FOR_SECONDS,
    READ_SECONDS,
    CosmosTenantPolicies,
)
from shared.domain.errors import StoreUnavailable, VersionChanged
from shared.domain.tenant_policy import FrequencyCap, Mode, ProviderShare, TenantPolicy
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT

EVERYTHING = TenantPolicy(
    mode=Mode.SHADOW,
    live_percent=25,
    providers={"sms": (ProviderShare("a", 90), ProviderShare("b"))},
    prefer_cheapest=True,
    sends_per_second=12.5,
    requests_per_second=3,
    requests_per_day=100_000,
    sms_countries=frozenset({"49", "1"}),
    daily_spend=5_000_000,
    frequency_caps={"push": FrequencyCap(3, timedelta(hours=6))},
    max_sms_per_prefix_per_minute=7,
)


class Machine:
    """A store, and a process whose time is moved by hand."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.seconds = 0.0
        self.policies = self.another_process()

    def another_process(self) -> CosmosTenantPolicies:
        return CosmosTenantPolicies(self.database, lambda: self.seconds)  # type: ignore[arg-type]

    @property
    def reads(self) -> int:
        return self.database.steps.names.count("read")


@pytest.fixture
def machine() -> Machine:
    return Machine()


async def _decide(machine: Machine, policy: TenantPolicy) -> None:
    elsewhere = machine.another_process()
    await elsewhere.replace(TENANT, policy, (await elsewhere.read(TENANT)).version)


@pytest.mark.parametrize("policy", [TenantPolicy(), EVERYTHING])
async def test_a_policy_comes_back_as_it_was_stored(machine: Machine, policy: TenantPolicy) -> None:
    stored = await machine.policies.replace(TENANT, policy, "")

    assert await machine.policies.read(TENANT) == stored
    assert stored.policy == policy
    assert await machine.policies.find(TENANT) == policy


async def test_a_tenant_without_a_document_costs_one_read_in_half_a_minute(machine: Machine) -> None:
    for _ in range(1000):
        assert await machine.policies.find(TENANT) == TenantPolicy()
        machine.seconds += FRESH_FOR_SECONDS / 1001

    assert machine.reads == 1


async def test_a_decision_made_elsewhere_holds_after_half_a_minute(machine: Machine) -> None:
    await machine.policies.find(TENANT)
    await _decide(machine, EVERYTHING)

    before = await machine.policies.find(TENANT)
    machine.seconds += FRESH_FOR_SECONDS

    assert before == TenantPolicy()
    assert await machine.policies.find(TENANT) == EVERYTHING


async def test_a_decision_made_here_holds_at_once(machine: Machine) -> None:
    await machine.policies.find(TENANT)

    await machine.policies.replace(TENANT, EVERYTHING, "")

    assert await machine.policies.find(TENANT) == EVERYTHING


async def test_many_who_ask_at_once_share_one_read(machine: Machine) -> None:
    found = await asyncio.gather(*(machine.policies.find(TENANT) for _ in range(50)))

    assert found == [TenantPolicy()] * 50
    assert machine.reads == 1


async def test_a_store_that_is_away_changes_nothing(machine: Machine) -> None:
    await machine.policies.replace(TENANT, EVERYTHING, "")
    await machine.policies.find(TENANT)
    machine.seconds += FRESH_FOR_SECONDS
    machine.database.away = True

    assert await machine.policies.find(TENANT) == EVERYTHING


async def test_after_a_failure_the_store_is_asked_again_soon_and_not_at_once(machine: Machine) -> None:
    machine.database.away = True
    assumed = await machine.policies.find(TENANT)
    machine.database.away = False
    await _decide(machine, EVERYTHING)

    meanwhile = await machine.policies.find(TENANT)
    machine.seconds += ASKED_AGAIN_AFTER_SECONDS

    assert assumed == meanwhile == TenantPolicy(is_assumed=True)
    assert await machine.policies.find(TENANT) == EVERYTHING


async def test_a_document_this_version_does_not_know_counts_as_not_readable(machine: Machine) -> None:
    await machine.policies.replace(TENANT, EVERYTHING, "")
    machine.database.container(CONTAINER).documents[TENANT, "policy"]["mode"] = "from the future"

    assert (await machine.policies.find(TENANT)).is_assumed


def test_a_store_that_hangs_holds_nobody_up_for_long() -> None:
    async def scene() -> float:
        machine = Machine()

        async def hang(item: str, partition_key: str) -> None:
            await asyncio.sleep(3600)

        machine.database.container(CONTAINER).read_item = hang  # type: ignore[method-assign,assignment]
        assert (await machine.policies.find(TENANT)).is_assumed
        return asyncio.get_running_loop().time()

    assert run_virtually(scene()) == pytest.approx(READ_SECONDS)


@pytest.mark.parametrize("stale", ["", "7"])
async def test_a_decision_on_what_is_no_longer_so_is_refused(machine: Machine, stale: str) -> None:
    await machine.policies.replace(TENANT, TenantPolicy(), "")

    with pytest.raises(VersionChanged):
        await machine.policies.replace(TENANT, EVERYTHING, stale)


async def test_a_first_decision_is_refused_where_the_policy_was_removed(machine: Machine) -> None:
    with pytest.raises(VersionChanged):
        await machine.policies.replace(TENANT, EVERYTHING, "7")


async def test_operators_hear_when_the_store_is_away(machine: Machine) -> None:
    machine.database.away = True

    with pytest.raises(StoreUnavailable):
        await machine.policies.read(TENANT)
