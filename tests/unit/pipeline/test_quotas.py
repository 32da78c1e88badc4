"""A day's quota, over all processes together, from the outside."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_counts import CosmosCounts
from shared.adapters.cosmos_limits import CONTAINER, CosmosLeases
from shared.domain.errors import KeyReused, RateExceeded
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.lanes import Lanes
from shared.pipeline.limits_told import limits_exceeded, limits_told
from shared.pipeline.quotas import DAY_SECONDS
from shared.pipeline.services import Services
from shared.pipeline.submit import submit
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.world import CALLER, TENANT, NoWaiter, World, a_batch, a_body, a_request


class Fleet:
    """Some processes that accept for one tenant."""

    def __init__(self, per_day: int | None, processes: int = 1) -> None:
        self.world = World()
        self.world.policies.decide(TENANT, TenantPolicy(requests_per_day=per_day))
        self.processes = [self._process() for _ in range(processes)]
        self.refusals: list[RateExceeded] = []

    def _process(self) -> Services:
        database: Any = self.world.database
        counts = CosmosCounts(database, CosmosLeases(database, monotonic=self.world._time))
        self.world.with_(**vars_of(self.world.fresh_process()), lanes=Lanes(counts=counts))
        return self.world.services

    async def send(self, process: int = 0, key: str | None = None, **changes: Any) -> bool:
        try:
            await submit(a_request(key, **changes), CALLER, self.processes[process], NoWaiter())
        except RateExceeded as refusal:
            self.refusals.append(refusal)
            return False
        return True

    async def batch(self, items: list[Any], key: str | None = None, process: int = 0) -> Any:
        return await submit_batch(a_batch(items, key), CALLER, self.processes[process])


def vars_of(services: Services) -> dict[str, Any]:
    return {name: getattr(services, name) for name in ("joint_commits",)}


@pytest.mark.parametrize("per_day", [1, 7, 40])
@pytest.mark.parametrize("processes", [1, 5])
async def test_exactly_the_quota_is_accepted_by_all_processes_together(per_day: int, processes: int) -> None:
    fleet = Fleet(per_day, processes)

    accepted = [await fleet.send(number % processes) for number in range(per_day + 20)]

    assert sum(accepted) == per_day == len(fleet.world.notifications)
    assert all(0 < each.retry_after.total_seconds() <= DAY_SECONDS + 60 for each in fleet.refusals)


async def test_at_once_as_well() -> None:
    fleet = Fleet(10, 4)

    accepted = await asyncio.gather(*(fleet.send(number % 4) for number in range(40)))

    assert sum(accepted) == 10


async def test_tomorrow_is_another_day() -> None:
    fleet = Fleet(2)
    assert [await fleet.send() for _ in range(3)] == [True, True, False]

    fleet.world.clock.advance(timedelta(days=1))

    assert [await fleet.send() for _ in range(3)] == [True, True, False]


async def test_without_a_quota_nothing_is_counted_or_told() -> None:
    fleet = Fleet(None)

    assert all([await fleet.send() for _ in range(5)])
    assert fleet.world.database.container(CONTAINER).documents == {}
    assert await limits_told(TENANT, fleet.processes[0]) == {}


async def test_a_repeat_does_not_count_again() -> None:
    fleet = Fleet(3)

    assert all([await fleet.send(key="order-1") for _ in range(10)])
    with pytest.raises(KeyReused):
        await fleet.send(key="order-1", reference="another")
    assert [await fleet.send(), await fleet.send(), await fleet.send()] == [True, True, False]


async def test_of_a_batch_what_is_refused_does_not_count() -> None:
    fleet = Fleet(10)
    bad = a_body(channels=["pigeon"])

    first = await fleet.batch([a_body()] * 4 + [bad] * 4, "batch-1")
    again = await fleet.batch([a_body()] * 4 + [bad] * 4, "batch-1")

    assert json.loads(first.answer)["accepted"] == 4
    assert again.replayed
    await fleet.batch([a_body()] * 6)
    assert not await fleet.send()


async def test_a_batch_that_is_too_large_for_what_is_left_is_refused_as_a_whole() -> None:
    fleet = Fleet(10)

    with pytest.raises(RateExceeded):
        await fleet.batch([a_body()] * 11)
    await fleet.batch([a_body()] * 10)
    assert len(fleet.world.notifications) == 10


async def test_large_quotas_are_taken_in_blocks() -> None:
    fleet = Fleet(100_000)
    container = fleet.world.database.container(CONTAINER)
    etags = set()
    for _ in range(200):
        await fleet.send()
        etags |= {document["_etag"] for document in container.documents.values()}

    assert len(etags) <= 12


async def test_while_the_counts_are_away_nobody_is_refused() -> None:
    fleet = Fleet(1)
    fleet.world.database.container(CONTAINER).away = True

    assert [await fleet.send() for _ in range(3)] == [True, True, True]


async def test_the_tenant_is_told_its_limits_and_what_is_left() -> None:
    fleet = Fleet(10)
    fleet.world.policies.decide(TENANT, TenantPolicy(requests_per_day=10, requests_per_second=0.5))
    await fleet.send()
    await fleet.send()

    told = await limits_told(TENANT, fleet.processes[0])

    assert told["RateLimit-Policy"] == '"tenant";q=1;w=2, "day";q=10;w=86400'
    assert told["RateLimit"].startswith('"day";r=8;t=')
    refused = limits_exceeded(RateExceeded("x", retry_after=timedelta(0), per_day=10), "5")
    assert refused == {"RateLimit-Policy": '"day";q=10;w=86400', "RateLimit": '"day";r=0;t=5'}
