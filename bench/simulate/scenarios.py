"""Which runs a report holds, from the command line's what-ifs."""

import argparse
from dataclasses import dataclass, replace

from bench.simulate.assumptions import Load, Platform, Providers, Scenario, Spike
from bench.simulate.demand import DAY_SECONDS, diurnal

PEAK_OVER_MEAN = 2000 * DAY_SECONDS / 50e6
_SPIKES = (60.0, 600.0, 7200.0)
_RAISED = {"regional_instances": 1000, "instances_max": 400}  # by a quota request
AS_BUILT, BY_LANES = "as built", "admission by lanes"
FOR_SPIKE, HIGH_FIRST = "sized for the spike", "sized, high lane first"


@dataclass(frozen=True)
class SpikeCase:
    """A spike under one policy."""

    policy: str
    scenario: Scenario


def parser() -> argparse.ArgumentParser:
    """The what-ifs. Without any, the report's standard runs."""
    found = argparse.ArgumentParser(
        prog="python -m bench.simulate", description="Capacity and cost of a day and a spike."
    )
    add = found.add_argument
    add("--daily", type=float, help="notifications a day; default: 50 M and 150 M")
    add("--peak", type=float, help="a second in the busiest minutes; default: 3.456 times the mean")
    add("--spike", metavar="RATE:SECONDS", action="append", help="repeatable; default 20000 for 60, 600 and 7200")
    add("--no-spikes", action="store_true")
    for name, what in _SHARES.items():
        add(f"--{name.replace('_', '-')}", type=float, help=what)
    add("--provider-latency", type=float, help="mean seconds of a provider's answer")
    add("--transient", type=float, help="share of attempts that are repeated")
    add("--callbacks", type=float, help="callbacks a notification")
    add("--limit", metavar="CHANNEL=RATE", action="append", default=[], help="a provider's calls a second; repeatable")
    add("--limit-sharing", choices=["as-asked", "high-first"], help="between lanes of a channel")
    add("--cosmos-ru-max", type=float, help="RU/s; default: sized for the peak")
    add("--mu", type=int, help="messaging units; default: sized for the peak")
    add("--instances-max", type=int, help="for each function")
    add("--regional-instances", type=int, help="all together")
    add("--speed", type=float, help="of an Azure core against the measuring machine's")
    add("--audit-ru", type=float, help="RU a notification for its audit entries")
    add("--admission", choices=["none", "lanes"], help="for the day's runs; spikes show both")
    add("--seed", type=int, default=1)
    return found


_SHARES = {
    "batch_share": "of notifications in batches",
    "sms_share": "SMS",
    "push_share": "push",
    "webhook_share": "webhook; email is the rest",
    "high_share": "high lane",
    "low_share": "low lane",
}


def day_scenarios(options: argparse.Namespace) -> list[Scenario]:
    """A day for each volume. Raises ValueError: there is no such day."""
    volumes = [options.daily] if options.daily else [50e6, 150e6]
    return [_day(options, volume) for volume in volumes]


def _day(options: argparse.Namespace, daily: float) -> Scenario:
    shares = {name: getattr(options, name) for name in _SHARES if getattr(options, name) is not None}
    mean = daily / DAY_SECONDS
    load = Load(daily=daily, peak=options.peak or mean * PEAK_OVER_MEAN, **shares)
    if min(load.channel_shares.values()) < 0 or min(load.lane_shares.values()) < 0:
        raise ValueError("shares add up to more than 1")
    providers = Providers(**_given(options, latency_seconds="provider_latency", transient_share="transient"))
    providers = replace(
        providers, **_given(options, callbacks_per_notification="callbacks", limit_sharing="limit_sharing")
    )
    for text in options.limit:
        channel, _, rate = text.partition("=")
        if channel not in providers.calls_per_second:
            raise ValueError(f"--limit {text}: no such channel")
        providers = replace(providers, calls_per_second=providers.calls_per_second | {channel: float(rate)})
    platform = Platform(
        **_given(
            options,
            cosmos_ru_max="cosmos_ru_max",
            messaging_units="mu",
            instances_max="instances_max",
            regional_instances="regional_instances",
            speed="speed",
        )
    )
    diurnal(mean, load.peak)  # raises when there is no such curve
    name = f"{daily / 1e6:g} M a day"
    return Scenario(name, load, providers, platform, admission=options.admission or "none", seed=options.seed)


def _given(options: argparse.Namespace, **names: str) -> dict[str, object]:
    return {field: getattr(options, name) for field, name in names.items() if getattr(options, name) is not None}


def spike_cases(options: argparse.Namespace) -> list[SpikeCase]:
    """Each spike as built, with admission by lanes, and on a platform sized for it; and an email campaign."""
    if options.no_spikes:
        return []
    base = day_scenarios(options)[0]
    spikes = [_spike(text) for text in options.spike] if options.spike else [Spike(seconds=each) for each in _SPIKES]
    spikes += [] if options.spike else [Spike(rate=15_000 + base.load.peak, seconds=600, channel="email")]
    cases = []
    for spike in spikes:
        scenario = replace(
            base, name=spike.name, spike=spike, admission="none", step_seconds=1.0 if spike.seconds <= 600 else 5.0
        )
        sized = replace(scenario, platform=_raised(scenario.platform, options), sized_for_spike=True)
        cases += [
            SpikeCase(AS_BUILT, scenario),
            SpikeCase(BY_LANES, replace(scenario, admission="lanes")),
            SpikeCase(FOR_SPIKE, sized),
            SpikeCase(HIGH_FIRST, replace(sized, providers=replace(sized.providers, limit_sharing="high-first"))),
        ]
    return cases


def _raised(platform: Platform, options: argparse.Namespace) -> Platform:
    return replace(platform, **{name: value for name, value in _RAISED.items() if getattr(options, name) is None})


def _spike(text: str) -> Spike:
    rate, _, seconds = text.partition(":")
    return Spike(rate=float(rate), seconds=float(seconds or 600))
