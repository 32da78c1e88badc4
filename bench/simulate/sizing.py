"""Closed-form requirements of a steady rate: instances, request units, messaging units. The runs check them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.simulate.assumptions import BYTES_PER_MU, MESSAGING_UNITS, RU_PER_PARTITION, Platform, Scenario
from bench.simulate.calibration import Costs
from bench.simulate.demand import next_step
from bench.simulate.work import Work, accepts_a_second, deliveries_a_second, work_of

_HEADROOM = 1.25  # a second's arrivals go a fifth above their mean now and then; beyond the maximum everything waits


@dataclass(frozen=True)
class Requirement:
    """What a rate needs."""

    rate: float
    request_units: float  # a second
    partitions: int
    bus_bytes: float  # a second, in
    bus_messages: float  # a second, in
    messaging_units: int | None  # None: more than a namespace has
    units_needed: float
    http_instances: float
    delivery_instances: float
    other_instances: float

    @property
    def instances(self) -> int:
        return math.ceil(self.http_instances) + math.ceil(self.delivery_instances) + math.ceil(self.other_instances)


def requirement(
    scenario: Scenario, costs: Costs, rate: float, batch_shares: Mapping[str, float], low_extra: float = 0.0
) -> Requirement:
    """For ``rate`` a second, of which ``low_extra`` come in the low lane on top of the usual lanes."""
    load, platform, providers = scenario.load, scenario.platform, scenario.providers
    usual = rate - low_extra
    rates = {lane: usual * share for lane, share in load.lane_shares.items()}
    rates["low"] += low_extra
    works = {lane: work_of(costs, load, platform, batch_shares[lane]) for lane in rates}
    tries = 1 + providers.transient_share
    receipts = rate * sum(load.channel_shares[name] * count for name, count in providers.receipts.items())
    callbacks = rate * providers.callbacks_per_notification
    request_units = (receipts + callbacks) * costs.status_ru + sum(
        rates[lane] * (work.accept_ru + work.deliver_ru * tries) for lane, work in works.items()
    )
    in_bytes, messages = _bus(rates, works, costs, receipts, providers.callbacks_per_notification)
    units = max(in_bytes / BYTES_PER_MU, messages / platform.bus_messages_per_mu) / platform.bus_usable_share
    by_cpu = platform.cores_per_instance * platform.cpu_target * 1000
    receipt_ms = costs.receipt_cpu / platform.speed + platform.host_ms_per_invocation
    track_ms = costs.track_cpu / platform.speed + platform.host_ms_per_invocation
    callback_ms = providers.callbacks_per_notification * sum(
        rates[lane] * work.callback_cpu for lane, work in works.items()
    )
    return Requirement(
        rate=rate,
        request_units=request_units,
        partitions=math.ceil(request_units * (1 + platform.ru_skew) * _HEADROOM / RU_PER_PARTITION),
        bus_bytes=in_bytes,
        bus_messages=messages,
        messaging_units=next_step(units, MESSAGING_UNITS),
        units_needed=units,
        http_instances=sum(rates[lane] / accepts_a_second(works[lane], platform) for lane in rates)
        + receipts * receipt_ms / by_cpu,
        delivery_instances=sum(
            rates[lane] * tries / deliveries_a_second(works[lane], providers, platform) for lane in rates
        ),
        other_instances=(receipts * track_ms + callback_ms) / by_cpu,
    )


def _bus(
    rates: Mapping[str, float], works: Mapping[str, Work], costs: Costs, receipts: float, callbacks: float
) -> tuple[float, float]:
    """Bytes and messages into the broker each second."""
    in_bytes, messages = receipts * costs.status_bytes["single"], receipts
    for lane, work in works.items():
        in_bytes += rates[lane] * (work.submitted_bytes + work.status_bytes + callbacks * work.callback_bytes)
        messages += rates[lane] * work.messages * (2 + callbacks)
    return in_bytes, messages


def provisioned(scenario: Scenario, costs: Costs) -> Scenario:
    """The scenario with request units and messaging units for its day's peak, or its spike, where none are given."""
    load, platform, spike = scenario.load, scenario.platform, scenario.spike
    need = requirement(scenario, costs, load.peak, load.lane_batch_shares)
    if scenario.sized_for_spike and spike:
        shares = load.lane_batch_shares | {"low": spike.batch_share}
        need = requirement(scenario, costs, spike.rate, shares, low_extra=max(0.0, spike.rate - load.peak))
    ru_max = platform.cosmos_ru_max
    if ru_max is None:
        ru_max = math.ceil(need.request_units * (1 + platform.ru_skew) * _HEADROOM / 1000) * 1000
    # Beyond sixteen units more namespaces share the load; the count then need not be one a single namespace can have.
    units = platform.messaging_units or need.messaging_units or math.ceil(need.units_needed)
    return replace(scenario, platform=_with(platform, ru_max, units))


def _with(platform: Platform, ru_max: float, units: int) -> Platform:
    return replace(platform, cosmos_ru_max=float(ru_max), messaging_units=units)
