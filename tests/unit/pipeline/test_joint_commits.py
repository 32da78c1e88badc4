"""Singles of one tenant that meet go into the store together; nobody waits for company, and nobody pays for another."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.address import EmailAddress
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId, new_tracking_id, partition_key
from shared.domain.notification import Category, Delivery, Lane, Notification
from shared.domain.status import DeliveryStatus
from shared.pipeline.joint_commits import (
    BUCKET_SECONDS,
    COMMITS_AT_ONCE,
    MAX_TOGETHER,
    MAX_TOGETHER_BYTES,
    JointCommits,
)
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit import submit
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, Fault, FaultsAt, StepsThrough
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, NoWaiter, World, a_request

TENANT = TenantId("shop")


class SlowStore:
    """Commits take ten milliseconds; those that ``refuses`` names fail, sooner or later."""

    def __init__(self) -> None:
        self.commits: list[list[Notification]] = []
        self.under_way = self.most_under_way = 0
        self.refuses: Callable[[Sequence[Notification]], bool] = lambda _: False
        self.seconds = 0.01

    async def commit(self, notifications: Sequence[Notification], key: object = None) -> None:
        self.commits.append(list(notifications))
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        if self.refuses(notifications):
            raise StoreUnavailable("no")


class Singles:
    """Requests as they come in, and what is published of them."""

    def __init__(self) -> None:
        self.store = SlowStore()
        self.joint = JointCommits()
        self.published: list[list[Notification]] = []

    async def publish(self, notifications: Sequence[Notification]) -> None:
        self.published.append(list(notifications))

    async def take_in(
        self, tenant: TenantId = TENANT, lane: Lane = Lane.NORMAL, size: int = 500, name: str = ""
    ) -> Notification:
        bucket = self.joint.bucket_for(tenant)
        now = datetime.now(UTC)
        notification = Notification(
            tracking_id=new_tracking_id(now, bucket),
            tenant_id=tenant,
            partition_key=partition_key(tenant, bucket),
            created_at=now,
            lane=lane,
            category=Category.TRANSACTIONAL,
            reference=name,
            deliveries={"email": Delivery("email", DeliveryStatus.QUEUED, EmailAddress("a@b.example"), now)},
        )
        await self.joint.take_in(notification, size, self.store, self.publish)  # type: ignore[arg-type]
        return notification

    @property
    def sizes(self) -> list[int]:
        return [len(commit) for commit in self.store.commits]


def test_whoever_is_alone_goes_alone_and_at_once() -> None:
    async def live() -> tuple[Singles, float]:
        singles = Singles()
        await singles.take_in()
        return singles, asyncio.get_running_loop().time()

    singles, seconds = run_virtually(live())

    assert (singles.sizes, seconds) == ([1], pytest.approx(singles.store.seconds))
    assert len(singles.published) == 1


def test_who_comes_during_a_commit_shares_the_next_one_and_its_chunk() -> None:
    async def live() -> Singles:
        singles = Singles()
        first = asyncio.create_task(singles.take_in())
        await asyncio.sleep(0.001)
        await asyncio.gather(first, *(singles.take_in() for _ in range(7)))
        return singles

    singles = run_virtually(live())

    assert singles.sizes == [1, 7]
    assert [len(group) for group in singles.published] == [1, 7]
    assert len({each.partition_key for each in singles.store.commits[1]}) == 1


def test_tenants_and_lanes_neither_mix_nor_wait_for_each_other() -> None:
    async def live() -> Singles:
        singles = Singles()
        others = [singles.take_in(tenant=TenantId(f"t{number}")) for number in range(3)]
        lanes = [singles.take_in(lane=lane) for lane in (Lane.HIGH, Lane.LOW)]
        await asyncio.gather(*(singles.take_in() for _ in range(5)), *others, *lanes)
        return singles

    singles = run_virtually(live())

    assert all(len({(each.tenant_id, each.lane) for each in commit}) == 1 for commit in singles.store.commits)
    assert singles.store.most_under_way == 6


def test_a_commit_holds_no_more_than_a_chunk_and_no_more_bytes_than_fit() -> None:
    async def live(count: int, size: int) -> Singles:
        singles = Singles()
        await asyncio.gather(*(singles.take_in(size=size) for _ in range(count)))
        return singles

    many = run_virtually(live(3 * MAX_TOGETHER, 500))
    large = run_virtually(live(10, MAX_TOGETHER_BYTES // 3))

    assert max(many.sizes) <= MAX_TOGETHER
    assert sum(many.sizes) == 3 * MAX_TOGETHER
    assert max(large.sizes) == 3
    assert sum(large.sizes) == 10


def test_more_than_one_commit_is_under_way_only_while_there_is_more_than_one_can_hold() -> None:
    async def live(count: int) -> Singles:
        singles = Singles()
        await asyncio.gather(*(singles.take_in() for _ in range(count)))
        return singles

    assert run_virtually(live(MAX_TOGETHER - 1)).store.most_under_way == 1
    assert run_virtually(live(20 * MAX_TOGETHER)).store.most_under_way == COMMITS_AT_ONCE


def test_one_that_the_store_refuses_costs_its_companions_nothing() -> None:
    async def live() -> tuple[Singles, list[object]]:
        singles = Singles()
        singles.store.refuses = lambda commit: any(each.reference == "bad" for each in commit)
        names = ["good", "good", "bad", "good"]
        return singles, await asyncio.gather(*(singles.take_in(name=name) for name in names), return_exceptions=True)

    singles, results = run_virtually(live())

    assert [type(each) for each in results] == [Notification, Notification, StoreUnavailable, Notification]
    assert sum(map(len, singles.published)) == 3


def test_a_store_that_takes_long_to_fail_fails_all_at_once() -> None:
    async def live() -> tuple[Singles, list[object], float]:
        singles = Singles()
        singles.store.seconds = 8.0
        singles.store.refuses = lambda _: True
        results = await asyncio.gather(*(singles.take_in() for _ in range(5)), return_exceptions=True)
        return singles, results, asyncio.get_running_loop().time()

    singles, results, seconds = run_virtually(live())

    assert {type(each) for each in results} == {StoreUnavailable}
    assert seconds <= 16
    assert len(singles.store.commits) <= 2


def test_a_caller_that_goes_away_takes_nobody_along() -> None:
    async def live() -> Singles:
        singles = Singles()
        gone = asyncio.create_task(singles.take_in())
        await asyncio.sleep(0.001)
        others = [asyncio.create_task(singles.take_in()) for _ in range(3)]
        await asyncio.sleep(0.001)
        gone.cancel()
        others[0].cancel()
        await asyncio.gather(gone, *others, return_exceptions=True)
        return singles

    singles = run_virtually(live())

    assert singles.sizes == [1, 3]


def test_a_tenants_bucket_changes_all_the_time() -> None:
    async def live() -> list[int]:
        joint = JointCommits()
        buckets = []
        for _ in range(50):
            assert joint.bucket_for(TENANT) == joint.bucket_for(TENANT)
            buckets.append(joint.bucket_for(TENANT))
            await asyncio.sleep(BUCKET_SECONDS)
        return buckets

    assert len(set(run_virtually(live()))) > 40


async def _submit_many(world: World, count: int, **fields: Any) -> list[object]:
    requests = [a_request(reference=f"item-{number}", **fields) for number in range(count)]
    work = [submit(request, CALLER, world.services, NoWaiter()) for request in requests]
    return await asyncio.gather(*work, return_exceptions=True)


async def test_singles_that_were_committed_together_travel_in_one_message() -> None:
    world = World()

    await _submit_many(world, 10, traceparent=None)

    sizes = [
        len(NotificationSubmitted.model_validate_json(message.body).deliveries)
        for message in world.publisher.published[SUBMITTED]
    ]
    assert sum(sizes) == 10
    assert len(sizes) <= 2


@pytest.mark.parametrize(("key", "wait"), [("order", None), (None, 5.0)])
async def test_a_request_with_a_key_or_with_somebody_who_waits_goes_alone(key: str | None, wait: float | None) -> None:
    world = World()
    requests = [a_request(f"{key}-{number}" if key else None, wait=wait) for number in range(5)]

    await asyncio.gather(*(submit(request, CALLER, world.services, NoWaiter()) for request in requests))

    assert len(world.publisher.published[SUBMITTED]) == 5


@pytest.mark.parametrize("fault", Fault)
def test_a_failure_at_any_step_loses_no_accepted_single_and_doubles_none(fault: Fault) -> None:
    async def live(steps: StepsThrough) -> tuple[World, list[object]]:
        world = World()
        world.watch(steps)
        results = await _submit_many(world, 5)
        if any(isinstance(result, Crash) for result in results):
            world.restart()
        await RealWorld(world, receipts=None).quiesce()
        return world, results

    counted = StepsThrough()
    run_virtually(live(counted))
    for index in range(len(counted.names)):
        world, results = run_virtually(live(FaultsAt({index: fault})))

        accepted = {f"item-{n}" for n, result in enumerate(results) if not isinstance(result, BaseException)}
        stored = {n.reference: n.deliveries["email"] for n in world.notifications}
        assert accepted <= stored.keys()
        assert {delivery.status for delivery in stored.values()} <= {DeliveryStatus.SENT}
        calls = Counter(message.attempt_id for message in world.email.ledger)
        assert max(calls.values(), default=1) == 1
        sent_twice = [each for each in Counter(call.rsplit(".", 2)[0] for call in calls).values() if each > 1]
        assert len(sent_twice) <= sum(delivery.was_in_doubt for delivery in stored.values())
