"""The simulation's parts: curve, queue, fleet, latencies, provider limits, sizing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.simulate.assumptions import Load, Platform, Providers, Scenario, Spike
from bench.simulate.calibration import Costs
from bench.simulate.delivering import Delivering, Lane
from bench.simulate.demand import Demand, diurnal, next_step
from bench.simulate.latencies import Latencies
from bench.simulate.parcels import Parcel, Parcels
from bench.simulate.scaling import Fleet
from bench.simulate.sizing import provisioned, requirement
from bench.simulate.work import deliveries_a_second, work_of

_SCENARIO = Scenario("any")
_LOAD, _PLATFORM = Load(), Platform()


@pytest.mark.parametrize(("mean", "peak"), [(579, 2000), (1736, 6000), (100, 100), (100, 130), (100, 700)])
def test_the_curve_has_the_wanted_mean_and_peak(mean, peak) -> None:
    curve = diurnal(mean, peak)

    assert sum(curve) / len(curve) == pytest.approx(mean)
    assert max(curve) == pytest.approx(peak, rel=1e-6)
    assert min(curve) > 0


def test_a_peak_below_the_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be drawn"):
        diurnal(100, 90)


def test_a_spike_tops_the_day_up_to_its_rate_and_ends() -> None:
    demand = Demand(_LOAD, Spike(rate=20_000, seconds=60), seed=1)
    at = demand.spike_from

    assert demand.base_rate(at) + demand.extra_rate(at) == pytest.approx(20_000)
    assert demand.extra_rate(at - 1) == demand.extra_rate(at + 60) == 0


def test_arrivals_follow_the_mix() -> None:
    demand = Demand(_LOAD, None, seed=1)
    arrived = demand.arrivals(demand.peak_at, 1000)

    assert sum(arrived.values()) == pytest.approx(2_000_000, rel=0.02)
    assert sum(amount for (channel, _), amount in arrived.items() if channel == "sms") / sum(
        arrived.values()
    ) == pytest.approx(0.21)


def test_an_email_campaign_is_email_in_the_low_lane() -> None:
    spike = Spike(rate=17_000, seconds=60, channel="email")
    demand, usual = (Demand(_LOAD, each, seed=1) for each in (spike, None))
    more = demand.arrivals(demand.spike_from, 100)
    base = usual.arrivals(usual.peak_at, 100)

    assert more["email", "low"] > 10 * base["email", "low"]
    assert more["sms", "low"] == pytest.approx(base["sms", "low"])


amounts = st.lists(st.floats(0.01, 1e5), max_size=20)


@given(amounts, st.lists(st.floats(0, 1e5), max_size=20))
def test_a_queue_gives_what_it_got_oldest_first(put, taken) -> None:
    queue = Parcels()
    for since, amount in enumerate(put):
        queue.put(Parcel(float(since), amount))
    got = [parcel for amount in taken for parcel in queue.take(amount)]

    assert sum(parcel.amount for parcel in got) + queue.total == pytest.approx(sum(put), abs=1e-3)
    assert [parcel.since for parcel in got] == sorted(parcel.since for parcel in got)


def test_a_queue_holds_back_what_is_too_young() -> None:
    queue = Parcels()
    queue.put(Parcel(1.0, 5.0))
    queue.put(Parcel(9.0, 5.0))

    assert [parcel.amount for parcel in queue.take(10.0, not_after=5.0)] == [5.0]
    assert queue.oldest == 9.0


def _fleet() -> Fleet:
    return Fleet(always_ready=1, maximum=10, cold_start=6, interval=10, step=4, scale_in_after=60)


def test_a_fleet_grows_in_steps_after_its_cold_start() -> None:
    fleet = _fleet()
    fleet.decide(0, 9, 100, 1)
    fleet.decide(5, 9, 100, 1)  # between decisions
    fleet.advance(5, 1)

    assert (fleet.ready, fleet.total) == (1, 5)

    fleet.advance(6, 1)

    assert fleet.ready == 5


def test_a_fleet_stops_at_its_maximum_and_at_the_regions_room() -> None:
    fleet = _fleet()
    for now in range(0, 200, 10):
        fleet.decide(now, 99, 3 if now < 100 else 100, 1)
    fleet.advance(300, 1)

    assert fleet.ready == 10
    fleet.decide(310, 99, 0, 1)
    assert fleet.total == 10


def test_a_fleet_shrinks_only_after_calm() -> None:
    fleet = _fleet()
    fleet.decide(0, 5, 100, 1)
    fleet.advance(10, 1)
    fleet.decide(10, 1, 100, 1)
    fleet.decide(40, 1, 100, 1)

    assert fleet.ready == 5

    for now in range(70, 200, 10):
        fleet.decide(now, 1, 100, 1)

    assert fleet.ready == 1


def test_percentiles_are_upper_edges_of_their_classes() -> None:
    latencies = Latencies()
    latencies.add(0.1, 94)
    latencies.add(5, 6)

    assert latencies.percentile(0.5) == pytest.approx(0.1)
    assert 5 <= latencies.percentile(0.95) <= 5 * 1.13
    assert latencies.share_within(1) == pytest.approx(0.94)
    assert Latencies().percentile(0.5) is None


@pytest.mark.parametrize("sharing", ["as-asked", "high-first"])
def test_no_step_plans_more_than_a_provider_allows(sharing) -> None:
    providers = Providers(limit_sharing=sharing)
    work = work_of(Costs(), _LOAD, _PLATFORM, 0.5)
    delivering = Delivering(
        [Lane("sms", name, work, providers, _PLATFORM) for name in ("high", "normal", "low")], providers
    )
    for lane in delivering.lanes.values():
        lane.fleet.ready = 1000
        lane.queue.put(Parcel(0, 1e6))

    plan = delivering.plan(2.0, {})

    assert sum(plan.values()) == pytest.approx(2 * 2000 * 0.94)


@pytest.mark.parametrize(("value", "step"), [(0.1, 1), (1, 1), (1.01, 2), (9, 16), (17, None)])
def test_messaging_units_come_in_steps(value, step) -> None:
    assert next_step(value, (1, 2, 4, 8, 16)) == step


def test_a_higher_rate_needs_more_of_everything() -> None:
    needs = [requirement(_SCENARIO, Costs(), rate, _LOAD.lane_batch_shares) for rate in (579, 2000, 6000, 20_000)]

    for name in ("request_units", "partitions", "units_needed", "http_instances", "delivery_instances", "instances"):
        values = [getattr(need, name) for need in needs]
        assert values == sorted(values), name


def test_batches_need_fewer_instances_and_less_of_the_bus() -> None:
    needs = [
        requirement(_SCENARIO, Costs(), 2000, dict.fromkeys(("high", "normal", "low"), share)) for share in (0, 0.5, 1)
    ]

    for name in ("bus_bytes", "http_instances", "delivery_instances", "other_instances"):
        values = [getattr(need, name) for need in needs]
        assert values == sorted(values, reverse=True), name


def test_a_slow_provider_needs_more_instances() -> None:
    work = work_of(Costs(), _LOAD, _PLATFORM, 0.0)
    rates = [deliveries_a_second(work, Providers(latency_seconds=each), _PLATFORM) for each in (0.05, 0.5, 2.0)]

    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(64 / 2.03)


def test_sixty_request_units_a_notification_are_120_000_at_the_peak() -> None:
    need = requirement(
        replace(_SCENARIO, providers=Providers(transient_share=0, receipts=dict.fromkeys(Providers().receipts, 0.0))),
        Costs(),
        2000,
        _LOAD.lane_batch_shares,
    )

    assert need.request_units == pytest.approx(120_000)


def test_what_is_given_is_not_sized_again() -> None:
    platform = Platform(cosmos_ru_max=7000, messaging_units=4)

    assert provisioned(replace(_SCENARIO, platform=platform), Costs()).platform == platform


def test_a_spike_may_be_sized_for() -> None:
    scenario = replace(_SCENARIO, spike=Spike())
    day, spike = (provisioned(replace(scenario, sized_for_spike=each), Costs()).platform for each in (False, True))

    assert spike.cosmos_ru_max > 5 * day.cosmos_ru_max
    assert spike.messaging_units >= day.messaging_units
