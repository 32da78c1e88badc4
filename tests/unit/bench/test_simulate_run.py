"""Runs of the simulation: nothing is unaccounted for, more means no worse, same seed same outcome."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulate.assumptions import LANES, Load, Platform, Providers, Scenario, Spike
from bench.simulate.calibration import Costs
from bench.simulate.outcome import Outcome
from bench.simulate.run import simulate
from bench.simulate.sizing import provisioned

_COSTS = Costs()
_LOAD = Load(daily=5e6, peak=200.0)
_SPIKE = Scenario("spike", _LOAD, spike=Spike(rate=2000.0, seconds=60.0), step_seconds=5.0)


def _run(scenario: Scenario = _SPIKE, **changes) -> Outcome:
    return simulate(replace(scenario, **changes), _COSTS)


def _slowest(outcome: Outcome) -> float:
    values = list(outcome.drained.values())
    return float("inf") if None in values else max(values)


@settings(max_examples=10, deadline=None)
@given(
    spike=st.floats(300, 5000).map(lambda rate: Spike(rate=rate, seconds=30.0)),
    load=st.floats(0, 0.9).map(lambda share: replace(_LOAD, batch_share=share)),
    platform=st.builds(
        Platform,
        cosmos_ru_max=st.floats(5_000, 100_000),
        messaging_units=st.sampled_from([1, 4]),
        instances_max=st.just(20),
    ),
    admission=st.sampled_from(["none", "lanes"]),
    limit=st.floats(20, 2000),
    seed=st.integers(0, 99),
)
def test_every_notification_offered_is_refused_or_waiting_or_final(limit, **values) -> None:
    providers = Providers(calls_per_second=dict.fromkeys(("email", "sms", "push", "webhook"), limit))
    scenario = replace(_SPIKE, providers=providers, step_seconds=30.0, **values)

    outcome = simulate(scenario, _COSTS)

    assert outcome.difference == pytest.approx(0, abs=1e-5 * outcome.offered)
    assert outcome.accepted == pytest.approx(outcome.sent + outcome.failed + outcome.backlog, rel=1e-5)
    assert min(outcome.sent, outcome.failed, outcome.backlog, outcome.waiting, *outcome.refused.values()) >= 0


def test_a_day_within_its_size_refuses_nothing_and_ends_empty() -> None:
    outcome = simulate(Scenario("day", _LOAD, step_seconds=60.0), _COSTS)

    assert outcome.offered == pytest.approx(5e6, rel=0.01)
    assert outcome.total_refused == 0
    assert outcome.backlog < 1000
    assert outcome.throttled_seconds == 0


def test_the_same_seed_gives_the_same_outcome_and_another_seed_another() -> None:
    first, again, other = (json.dumps(_run(seed=seed).to_json()) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_a_longer_spike_leaves_more_waiting() -> None:
    waiting = [_run(spike=Spike(rate=2000.0, seconds=seconds)).peak_backlog for seconds in (20, 60, 180)]

    assert waiting == sorted(waiting)
    assert waiting[0] < waiting[-1]


def test_more_request_units_drain_no_later() -> None:
    drained = [_slowest(_run(platform=Platform(cosmos_ru_max=units))) for units in (20_000, 40_000, 200_000)]

    assert drained == sorted(drained, reverse=True)
    assert drained[0] > drained[-1]


def test_a_lower_provider_limit_drains_later() -> None:
    platform = Platform(cosmos_ru_max=300_000, messaging_units=16)
    drained = [
        _slowest(
            _run(
                platform=platform,
                providers=Providers(calls_per_second={"email": limit, "sms": 900, "push": 900, "webhook": 900}),
            )
        )
        for limit in (1500.0, 500.0, 250.0)
    ]

    assert drained == sorted(drained)
    assert drained[0] < drained[-1]


def test_admission_by_lanes_keeps_the_high_lane_whole_and_fast() -> None:
    as_built, by_lanes = _run(), _run(admission="lanes")

    assert by_lanes.refused["high"] == 0
    assert by_lanes.refused["low"] > by_lanes.refused["normal"]
    assert by_lanes.to_provider["high"].percentile(0.95) < 2 < as_built.to_provider["high"].percentile(0.95)


def test_the_high_lane_first_at_the_provider_helps_the_high_lane() -> None:
    platform = Platform(cosmos_ru_max=300_000, messaging_units=16)
    limits = {"email": 300.0, "sms": 900.0, "push": 900.0, "webhook": 900.0}
    shared, reserved = (
        _run(platform=platform, providers=Providers(calls_per_second=limits, limit_sharing=sharing))
        for sharing in ("as-asked", "high-first")
    )

    assert reserved.to_provider["high"].percentile(0.99) < shared.to_provider["high"].percentile(0.99)


def test_a_bus_without_room_delays_in_the_store_and_loses_nothing() -> None:
    outcome = _run(platform=Platform(cosmos_ru_max=300_000, messaging_units=1, bus_messages_per_mu=600.0))

    assert outcome.peak_unpublished > 0
    assert outcome.backlog < 0.01 * outcome.offered  # what is just arriving
    assert outcome.difference == pytest.approx(0, abs=1)


def test_request_units_stay_below_their_maximum() -> None:
    scenario = provisioned(_SPIKE, _COSTS)

    outcome = simulate(scenario, _COSTS)

    assert outcome.wanted_ru > scenario.platform.cosmos_ru_max >= outcome.peak_ru


def test_no_more_instances_than_the_region_allows() -> None:
    outcome = _run(platform=Platform(regional_instances=30))

    assert outcome.peak_instances <= 30


def test_failures_come_back_and_at_last_fail() -> None:
    doomed = Providers(transient_share=1.0, rejected_share=0.0)

    outcome = _run(providers=doomed, spike=Spike(rate=300.0, seconds=20.0))

    assert outcome.sent == 0
    assert outcome.failed > 0
    assert outcome.retried > outcome.failed
    assert outcome.difference == pytest.approx(0, abs=1)


def test_samples_tell_of_every_lane() -> None:
    outcome = _run(admission="lanes")

    assert outcome.samples
    assert all(set(sample.backlog) == set(LANES) for sample in outcome.samples)
    assert sum(sample.refused for sample in outcome.samples) > 0
