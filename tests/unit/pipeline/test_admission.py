"""Who is let in under overload: low goes first, then normal; high, and what was accepted before, never."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import Overloaded, RateExceeded, StoreUnavailable, TooManyRequests
from shared.domain.identifiers import TenantId
from shared.domain.lane_telling import Telling
from shared.domain.notification import Lane
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.admission import FAR_AHEAD, ITEMS_PER_PLACE, Admission, Thresholds, Wanted
from shared.pipeline.fair_share import FairShare
from shared.pipeline.lane_board import LaneBoard
from shared.pipeline.lanes import Lanes
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit_batch import SubmittedBatch, submit_batch
from tests.fakes.clock import START
from tests.fakes.lane_board import InMemoryBoard, InMemoryLeases, Seconds
from tests.fakes.steps import Fault, FaultsAt, StepsThrough
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body, a_request

HIGH, NORMAL, LOW = Lane.HIGH, Lane.NORMAL, Lane.LOW
NO_POLICY = TenantPolicy()


class Load:
    """How the store copes, as a test says."""

    share = 0.0

    def throttled_share(self) -> float:
        return self.share


class Overload:
    """A world whose lanes can be made late."""

    def __init__(self) -> None:
        self.seconds, self.board, self.load, self.world = Seconds(), InMemoryBoard(), Load(), World()
        self.leases = InMemoryLeases(self.seconds)
        self.teller = LaneBoard(self.board, self.seconds)
        self.lanes = Lanes(self.board, self.leases, load=self.load, monotonic=self.seconds)
        self.world.with_(lanes=self.lanes)

    async def late(self, lag: float, lane: Lane = NORMAL, channel: str = "email") -> None:
        """Everybody knows."""
        await self.lanes.board.look()
        await self.teller.tell({(channel, lane): Telling(lag, lag)})
        self.seconds.advance(1.1)
        await self.lanes.board.look()

    async def submit(self, **fields: Any) -> str | None:
        """None when it was accepted, else why not."""
        try:
            await self.world.submit(a_request(**fields))
        except TooManyRequests as refusal:
            return str(refusal)
        return None

    async def batch(self, items: list[Any], key: str | None = None) -> SubmittedBatch:
        return await submit_batch(a_batch(items, key), CALLER, self.world.services)


@pytest.mark.parametrize(
    ("lag", "lane", "refused"),
    [
        (10, NORMAL, []),
        (35, NORMAL, ["low"]),
        (70, NORMAL, ["low", "normal"]),
        (400, LOW, ["low"]),
        (6, HIGH, ["low", "normal"]),
    ],
)
async def test_a_late_lane_closes_the_lower_ones_first_and_never_high(
    lag: float, lane: Lane, refused: list[str]
) -> None:
    overload = Overload()
    await overload.late(lag, lane)

    turned_away = [each for each in ("low", "normal", "high") if await overload.submit(priority=each)]

    assert turned_away == refused


async def test_a_lane_that_is_late_for_who_floods_it_is_open_for_the_others() -> None:
    overload = Overload()
    await overload.lanes.board.look()
    await overload.teller.tell({("email", NORMAL): Telling(500.0, 0.5)})
    overload.seconds.advance(1.1)

    assert await overload.submit(priority="low") is None
    assert overload.lanes.board.lag(("email", NORMAL)) == 500


async def test_other_channels_stay_open() -> None:
    overload = Overload()
    await overload.late(100, NORMAL, "sms")

    assert await overload.submit(priority="low") is None
    both = {"email": {"subject": "s", "text": "t"}, "sms": {"text": "t"}}
    recipient = {"email": "ada@example.com", "phone": "+4915112345678"}
    assert await overload.submit(channels=["email", "sms"], content=both, recipient=recipient) is not None


async def test_a_lane_opens_again_at_half_and_does_not_flap() -> None:
    overload = Overload()
    answers = []
    for lag in (61, 45, 61, 45, 29, 45, 61):
        await overload.late(lag)
        overload.seconds.advance(2.6)  # until the worst of the last seconds is this one
        answers.append(await overload.submit() is None)

    assert answers == [False, False, False, False, True, True, False]


async def test_nothing_refused_is_stored_or_published() -> None:
    overload = Overload()
    await overload.late(100)

    assert await overload.submit(key="k") is not None
    assert overload.world.documents == {}
    assert overload.world.publisher.published == {}


async def test_what_was_accepted_before_is_answered_again() -> None:
    overload = Overload()
    first = await overload.world.submit(a_request(key="k"))
    await overload.late(100)

    again = await overload.world.submit(a_request(key="k"))

    assert (again.answer, again.replayed) == (first.answer, True)
    assert await overload.submit(key="another") is not None


async def test_what_is_wrong_is_told_rather_than_that_there_is_no_room() -> None:
    overload = Overload()
    await overload.late(100)

    with pytest.raises(Exception, match="/recipient/email"):
        await overload.submit(recipient={"customerId": "c"})


async def test_what_is_sent_much_later_does_not_wait_in_a_late_lane() -> None:
    overload = Overload()
    await overload.late(100)

    assert await overload.submit(sendAt=(START + FAR_AHEAD + timedelta(minutes=1)).isoformat()) is None
    assert await overload.submit(sendAt=(START + timedelta(seconds=5)).isoformat()) is not None


async def test_a_refusal_says_when_to_come_back_and_not_all_at_the_same_time() -> None:
    overload = Overload()
    await overload.late(90)
    waits = []
    for _ in range(50):
        with pytest.raises(Overloaded) as refusal:
            await overload.world.submit(a_request())
        waits.append(refusal.value.retry_after.total_seconds())

    assert 40 <= min(waits) < max(waits) <= 80
    assert max(waits) - min(waits) > 5


def test_a_busy_process_sheds_low_then_normal() -> None:
    refused = {count: _refused_with(count) for count in (0, 64, 65, 128, 129, 500)}

    assert refused == {0: [], 64: [], 65: [LOW], 128: [LOW], 129: [LOW, NORMAL], 500: [LOW, NORMAL]}


def _refused_with(in_flight: int) -> list[Lane]:
    return [lane for lane in (LOW, NORMAL, HIGH) if _is_refused(lane, in_flight)]


def _is_refused(lane: Lane, in_flight: int) -> bool:
    admission = Admission(LaneBoard(), FairShare(LaneBoard(), None))
    try:
        with admission.under_way(in_flight * ITEMS_PER_PLACE):
            _run(admission.admit(TENANT, Wanted(1, frozenset({lane}), {("email", lane): 1}), NO_POLICY))
    except Overloaded:
        return True
    return False


def _run(coroutine: Any) -> None:
    """It never waits for anything."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_a_request_that_is_over_is_not_under_way() -> None:
    admission = Admission(LaneBoard(), FairShare(LaneBoard(), None), Thresholds(in_flight={NORMAL: 1, LOW: 1}))
    for _ in range(3):
        with admission.under_way():
            _run(admission.admit(TENANT, Wanted(1, frozenset({NORMAL}), {}), NO_POLICY))
        with pytest.raises(ValueError, match="x"), admission.under_way(1000):
            raise ValueError("x")


async def test_a_store_that_throttles_sheds_low_then_normal_and_opens_at_half() -> None:
    overload = Overload()
    seen = []
    for share in (0.0, 0.03, 0.25, 0.15, 0.05, 0.015, 0.005):
        overload.load.share = share
        seen.append([each for each in ("low", "normal", "high") if await overload.submit(priority=each)])

    assert seen == [[], ["low"], ["low", "normal"], ["low", "normal"], ["low"], ["low"], []]


async def test_a_tenant_beyond_its_own_limit_is_refused_whatever_the_lane() -> None:
    overload = Overload()
    overload.world.policies.decide(TENANT, TenantPolicy(requests_per_second=2))
    answers = [await overload.submit(priority="high") for _ in range(10)]

    assert 2 <= answers.count(None) <= 5
    assert any(answer and "more than 2 notifications a second" in answer for answer in answers)


async def test_what_is_shed_does_not_use_up_the_tenants_limit() -> None:
    overload = Overload()
    overload.world.policies.decide(TENANT, TenantPolicy(requests_per_second=2))
    await overload.late(100)
    for _ in range(20):
        await overload.submit()

    assert await overload.submit(priority="high") is None


async def test_a_batch_is_refused_as_a_whole_by_its_lowest_lane() -> None:
    overload = Overload()
    await overload.late(35)
    high, normal, low = (a_body(priority=each) for each in ("high", "normal", "low"))

    assert not (await overload.batch([high, normal])).partial
    with pytest.raises(Overloaded):
        await overload.batch([high, normal, low])
    assert len(overload.world.notifications) == 2


@pytest.mark.parametrize(
    "odd", [[5], [None], ["x"], [{}], [{"priority": 7}], [{"channels": 7}], [{"sendAt": 1, "routing": []}]]
)
async def test_items_that_are_no_notifications_are_refused_for_that(odd: list[Any]) -> None:
    overload = Overload()
    await overload.late(1)

    assert (await overload.batch([*odd, a_body()])).partial


async def test_a_batch_that_was_begun_or_answered_is_let_in_again() -> None:
    overload = Overload()
    first = await overload.batch([a_body()], key="answered")
    await _begin(overload, "begun")
    await overload.late(100)

    again = await overload.batch([a_body()], key="answered")
    resumed = await overload.batch([a_body(reference="r")], key="begun")

    assert (again.answer, again.replayed) == (first.answer, True)
    assert json.loads(resumed.answer)["accepted"] == 1
    with pytest.raises(Overloaded):
        await overload.batch([a_body()], key="new")


async def _begin(overload: Overload, key: str) -> None:
    """Its key is stored, and its only item is not."""
    overload.world.watch(FaultsAt({1: Fault.LOST_BEFORE}))
    with pytest.raises(StoreUnavailable):
        await overload.batch([a_body(reference="r")], key=key)
    overload.world.watch(StepsThrough())


async def test_a_batch_that_falls_back_is_judged_by_its_first_channel() -> None:
    wanted = Wanted.by_items(
        [{"routing": {"strategy": "fallback", "order": ["push", "sms"]}, "priority": "low"}], START
    )

    assert wanted == Wanted(1, frozenset({LOW}), {("push", LOW): 1})


async def test_admitting_costs_a_read_a_second_at_most_and_writes_nothing() -> None:
    overload = Overload()
    for _ in range(200):
        await overload.submit(priority="low")
        overload.seconds.advance(0.01)

    assert overload.board.reads <= 3
    assert (overload.board.writes, overload.leases.writes) == (0, 0)
    assert len(overload.world.publisher.published[SUBMITTED]) == 200


async def test_shedding_is_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    overload = Overload()
    await overload.late(100)
    for _ in range(50):
        await overload.submit()

    assert [record.message for record in caplog.records].count("Shedding load") == 1


async def test_a_rate_is_refused_with_its_own_error() -> None:
    overload = Overload()
    overload.world.policies.decide(TenantId("shop"), TenantPolicy(requests_per_second=1))

    for _ in range(4):
        await overload.submit()

    with pytest.raises(RateExceeded):
        await overload.world.submit(a_request())
