"""Outages from the first failed call to the last held delivery, with a fleet of processes in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from shared.domain.breaker import BreakerPolicy
from shared.domain.errors import InDoubt, Throttled, Transient
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import DEAD_LETTERS
from shared.ports import Accepted
from tests.fakes.fake_provider import Answer
from tests.fakes.fleet import Fleet, ProviderWithWeather, a_fleet_world
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World

BEGINS, ENDS = 10.0, 40.0
RELEASES = 20.0
RETRY_BUDGET = 1.2  # provider calls for each delivery that was asked for


@dataclass
class Demand:
    """So many notifications a second, for so long."""

    per_second: float
    seconds: float
    more: dict[str, object] = field(default_factory=dict)

    async def arrive(self, world: World) -> None:
        for _ in range(int(self.per_second * self.seconds)):
            await world.submit(**self.more)
            await asyncio.sleep(1 / self.per_second)


def _down(error: Exception) -> Callable[[float], Answer]:
    return lambda now: error if BEGINS <= now < ENDS else Accepted("m")


def _live(
    *providers: ProviderWithWeather, processes: int = 4, demands: tuple[Demand, ...], within: float = 300
) -> tuple[World, Fleet]:
    async def scene() -> tuple[World, Fleet]:
        world = a_fleet_world(random.Random(7), *providers, breaker=BreakerPolicy(), releases_per_second=RELEASES)
        async with Fleet(world, processes).working() as fleet:
            await asyncio.gather(*(demand.arrive(world) for demand in demands))
            assert await fleet.settled(within=within), "it never comes to rest"
        return world, fleet

    return run_virtually(scene())


def _busiest_second(instants: list[float]) -> int:
    return max(sum(at <= other < at + 1 for other in instants) for at in instants)


def _statuses(world: World) -> Counter[DeliveryStatus]:
    return Counter(each.deliveries["email"].status for each in world.notifications)


@pytest.mark.parametrize("processes", [1, 4, 12])
def test_thirty_seconds_without_any_provider_cost_a_fifth_more_calls_at_most_and_lose_nothing(processes: int) -> None:
    provider = ProviderWithWeather("email", "fake-email", _down(Transient("http_503")))

    world, fleet = _live(provider, processes=processes, demands=(Demand(per_second=10, seconds=60),))

    assert _statuses(world) == {DeliveryStatus.SENT: 600}
    during = [at for at, _ in provider.calls if BEGINS <= at < ENDS]
    assert len(provider.calls) <= RETRY_BUDGET * 600
    assert len(during) <= 0.2 * 10 * (ENDS - BEGINS)
    assert fleet.bus.failures == 0  # no message was given back to the broker, so no delivery count was spent
    assert world.publisher.published[DEAD_LETTERS] == []
    assert max(each.deliveries["email"].attempt for each in world.notifications) <= 3


def test_what_was_held_comes_back_at_its_rate() -> None:
    provider = ProviderWithWeather("email", "fake-email", _down(Transient("http_503")))

    _live(provider, demands=(Demand(per_second=20, seconds=40),))

    back = sorted(at for at, _ in provider.calls if at >= ENDS)
    assert len(back) >= 500
    assert _busiest_second(back) <= RELEASES * 1.2


def test_the_sweeper_does_not_bring_back_what_is_held() -> None:
    provider = ProviderWithWeather("email", "fake-email", lambda now: Accepted("m") if now >= 200 else Transient("x"))

    world, _ = _live(provider, demands=(Demand(per_second=20, seconds=20),))

    assert _statuses(world) == {DeliveryStatus.SENT: 400}
    back = sorted(at for at, _ in provider.calls if at >= 200)
    assert _busiest_second(back) <= RELEASES * 1.2
    assert max(each.deliveries["email"].sweeps for each in world.notifications) <= 1


def test_urgent_deliveries_come_back_before_the_others() -> None:
    provider = ProviderWithWeather("email", "fake-email", _down(Transient("http_503")))
    ordinary = Demand(per_second=10, seconds=25)
    urgent = Demand(per_second=2, seconds=25, more={"priority": "high"})

    world, _ = _live(provider, demands=(ordinary, urgent))

    held = [each for each in world.notifications if each.deliveries["email"].attempts[-1].claimed_at.minute >= 1]
    sent: dict[str, list[float]] = {"high": [], "normal": []}
    for each in held:
        sent[each.lane.value].append(each.deliveries["email"].attempts[-1].claimed_at.timestamp())
    assert len(sent["high"]) >= 20
    assert sorted(sent["high"])[len(sent["high"]) // 2] < sorted(sent["normal"])[len(sent["normal"]) // 4]


def test_a_code_that_expires_while_it_is_held_is_told_so_and_not_sent() -> None:
    provider = ProviderWithWeather("email", "fake-email", _down(Transient("http_503")))
    codes = Demand(per_second=2, seconds=20, more={"category": "security", "expiresAt": "2026-11-24T12:00:45Z"})

    world, _ = _live(provider, demands=(codes,))

    statuses = _statuses(world)
    assert set(statuses) == {DeliveryStatus.SENT, DeliveryStatus.EXPIRED}
    assert statuses[DeliveryStatus.EXPIRED] >= 15
    assert [at for at, _ in provider.calls if at >= 45] == []
    told = [
        entry.at for each in world.notifications for entry in each.history if entry.status is DeliveryStatus.EXPIRED
    ]
    assert max(told).second <= 47
    assert max(told).minute == 0


def test_doubt_in_an_outage_is_not_sent_by_the_other_provider_until_it_is_resolved() -> None:
    first = ProviderWithWeather("email", "fake-email", _down(InDoubt("no_answer")))
    second = ProviderWithWeather("email", "second-email")

    world, _ = _live(first, second, demands=(Demand(per_second=10, seconds=60),))

    assert _statuses(world) == {DeliveryStatus.SENT: 600}
    doubtful = {attempt.rsplit(".", 1)[0]: at for at, attempt in first.calls if BEGINS <= at < ENDS}
    assert len(doubtful) >= 5
    for at, attempt in second.calls:
        doubted_at = doubtful.get(attempt.rsplit(".", 1)[0])
        assert doubted_at is None or at >= doubted_at + world.patience.in_doubt.total_seconds()
    assert len(first.calls) + len(second.calls) <= RETRY_BUDGET * 600


@pytest.mark.parametrize("processes", [1, 4])
def test_a_provider_that_hangs_is_spared_before_the_first_call_has_timed_out(processes: int) -> None:
    provider = ProviderWithWeather("email", "fake-email", _down(InDoubt("no_answer")))
    provider.ill_seconds = 20.0

    world, _ = _live(provider, processes=processes, demands=(Demand(per_second=10, seconds=60),))

    during = [at for at, _ in provider.calls if BEGINS <= at < ENDS]
    assert _statuses(world) == {DeliveryStatus.SENT: 600}
    assert len(during) <= 0.25 * 10 * (ENDS - BEGINS)
    assert len(provider.calls) <= RETRY_BUDGET * 600


def test_a_provider_that_is_slow_and_answers_is_not_taken_for_ill() -> None:
    provider = ProviderWithWeather("email", "fake-email")
    provider.call_seconds = 8.0

    world, _ = _live(provider, demands=(Demand(per_second=5, seconds=40),))

    assert _statuses(world) == {DeliveryStatus.SENT: 200}
    assert len(provider.calls) == 200
    lags = [each.deliveries["email"].attempts[0].claimed_at - each.created_at for each in world.notifications]
    assert max(lags).total_seconds() < 10


def test_with_a_second_provider_an_outage_delays_hardly_anything() -> None:
    first = ProviderWithWeather("email", "fake-email", _down(Transient("http_503")))
    second = ProviderWithWeather("email", "second-email")

    world, _ = _live(first, second, demands=(Demand(per_second=10, seconds=60),))

    lags = sorted(
        (each.deliveries["email"].attempts[-1].claimed_at - each.created_at).total_seconds()
        for each in world.notifications
    )
    assert _statuses(world) == {DeliveryStatus.SENT: 600}
    assert lags[int(0.95 * len(lags))] < 1
    assert lags[-1] < 10
    assert len(first.calls) + len(second.calls) <= RETRY_BUDGET * 600


def test_throttling_is_pacing_for_everybody_and_does_not_amplify() -> None:
    def weather(now: float) -> Answer:
        return Throttled("429", retry_after=timedelta(seconds=ENDS - now)) if BEGINS <= now < ENDS else Accepted("m")

    provider = ProviderWithWeather("email", "fake-email", weather)

    world, _ = _live(provider, demands=(Demand(per_second=20, seconds=40),))

    refused = [at for at, _ in provider.calls if BEGINS <= at < ENDS]
    assert _statuses(world) == {DeliveryStatus.SENT: 800}
    assert max(refused) <= BEGINS + 1.5  # what was on its way, and a second until everybody knew
    assert len(provider.calls) <= RETRY_BUDGET * 800
    assert {attempt.outcome for each in world.notifications for attempt in each.deliveries["email"].attempts} == {
        "sent",
        "throttled",
    }
