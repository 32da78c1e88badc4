"""A month's bill, line by line, from a day's run and the dated prices. A month is the day 30.4 times."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.simulate.assumptions import DAYS_A_MONTH, HOURS_A_MONTH, Scenario
from bench.simulate.calibration import Costs
from bench.simulate.outcome import Outcome
from bench.simulate.prices import PriceList

_AUTOSCALE_FLOOR = 0.1  # of the maximum is always billed
_RETENTION_DAYS = 90
_SEGMENTS = 1.0  # of an SMS; a second one doubles the bill
_TELEMETRY_BYTES = 150  # a notification: sampled traces, metrics
_GATEWAY_UNITS = 2  # in each geography, in different zones
_DURABLE_TRANSACTIONS = 33  # for a retry: 21 on queues and 12 on tables


@dataclass(frozen=True)
class Line:
    """One line of the bill."""

    group: str  # "providers" or "Azure"
    name: str
    dollars: float
    how: str


@dataclass(frozen=True)
class Bill:
    """A month."""

    lines: list[Line]
    notifications: float

    def total(self, group: str = "") -> float:
        return sum(line.dollars for line in self.lines if group in {"", line.group})

    @property
    def per_thousand(self) -> float:
        return self.total() / self.notifications * 1000


def monthly_bill(scenario: Scenario, outcome: Outcome, costs: Costs, prices: PriceList) -> Bill:
    """``scenario`` must be provisioned (its maxima are known) and ``outcome`` its whole day."""
    days = DAYS_A_MONTH * 86_400 / outcome.seconds
    parts: tuple[Callable[..., list[Line]], ...] = (_providers, _functions, _stores, _others)
    lines = [line for part in parts for line in part(scenario, outcome, costs, prices, days)]
    return Bill(lines, outcome.offered * days)


def _providers(_s: Scenario, outcome: Outcome, _c: Costs, prices: PriceList, days: float) -> list[Line]:
    sent = {channel: count * days for channel, count in outcome.sent_by_channel.items()}
    sms = prices["twilio_sms_segment"] + prices["twilio_carrier_fee"]
    return [
        Line("providers", "SMS", sent["sms"] * _SEGMENTS * sms, f"{sent['sms'] / 1e6:,.0f} M segments at {sms:.4f}"),
        Line("providers", "email", sent["email"] * prices["sendgrid_email"], f"{sent['email'] / 1e6:,.0f} M emails"),
        Line("providers", "push", push_dollars(sent["push"], prices), f"{sent['push'] / 1e6:,.0f} M pushes"),
    ]


def push_dollars(pushes: float, prices: PriceList) -> float:
    """A month of one Standard namespace: ten million included, then two rates."""
    millions = pushes / 1e6
    first = max(0.0, min(millions, 100.0) - 10.0) * prices["notification_hubs_million_to_100m"]
    rest = max(0.0, millions - 100.0) * prices["notification_hubs_million_over_100m"]
    return prices["notification_hubs_base_month"] + first + rest


def _functions(scenario: Scenario, outcome: Outcome, _c: Costs, prices: PriceList, days: float) -> list[Line]:
    gigabytes, stamps = scenario.platform.instance_gb, scenario.platform.stamps
    executions = outcome.executions * days / 1e6
    ready = outcome.ready_seconds * days * gigabytes
    on_demand = max(0.0, outcome.instance_seconds * days * gigabytes - ready)
    # Each geography keeps the always-ready instances; what executes on them is billed at their own rate.
    always = ready * (stamps * prices["flex_always_ready_gb_second"] + prices["flex_always_ready_active_gb_second"])
    billed = max(0.0, on_demand - prices["flex_free_gb_seconds"])
    counted = max(0.0, executions - prices["flex_free_million_executions"])
    return [
        Line("Azure", "Functions executions", counted * prices["flex_million_executions"], f"{executions:,.0f} M"),
        Line("Azure", "Functions on demand", billed * prices["flex_gb_second"], f"{on_demand / 1e6:,.1f} M GB-s"),
        Line("Azure", "Functions always ready", always, f"{ready * stamps / 1e6:,.1f} M GB-s in {stamps} stamps"),
    ]


def _stores(scenario: Scenario, outcome: Outcome, costs: Costs, prices: PriceList, days: float) -> list[Line]:
    platform = scenario.platform
    units = autoscale_dollars(outcome, platform.cosmos_ru_max or 0.0, prices) * days
    stored = outcome.accepted * 86_400 / outcome.seconds * costs.document_bytes * _RETENTION_DAYS / 1e9
    # A stamp has at least one unit; two stamps share the load.
    messaging = max(platform.stamps, platform.messaging_units or 0)
    return [
        Line("Azure", "Cosmos DB throughput", units, f"autoscale to {platform.cosmos_ru_max:,.0f} RU/s"),
        Line("Azure", "Cosmos DB storage", stored * prices["cosmos_storage_gb_month"], f"{stored:,.0f} GB, 90 days"),
        Line(
            "Azure",
            "Service Bus Premium",
            messaging * prices["service_bus_premium_mu_hour"] * HOURS_A_MONTH,
            f"{messaging} messaging units",
        ),
    ]


def autoscale_dollars(outcome: Outcome, ru_max: float, prices: PriceList) -> float:
    """For the run: each hour's highest value, a tenth of the maximum at least."""
    hours = max(1, round(outcome.seconds / 3600))
    used = [outcome.hourly_ru.get(hour, 0.0) for hour in range(hours)]
    return sum(max(value, ru_max * _AUTOSCALE_FLOOR) for value in used) / 100 * prices["cosmos_autoscale_100_ru_hour"]


def _others(scenario: Scenario, outcome: Outcome, _c: Costs, prices: PriceList, days: float) -> list[Line]:
    gateway = scenario.platform.stamps * _GATEWAY_UNITS
    gigabytes = outcome.offered * days * _TELEMETRY_BYTES / 1e9
    durable = outcome.retried * days * _DURABLE_TRANSACTIONS / 1e6
    return [
        Line("Azure", "API Management", gateway * prices["apim_unit_month"], f"{gateway} Premium units"),
        Line("Azure", "Log Analytics", gigabytes * prices["log_analytics_gb"], f"{gigabytes:,.0f} GB, sampled"),
        Line(
            "Azure",
            "storage for retries",
            durable * prices["storage_million_transactions"],
            f"{durable:,.0f} M transactions",
        ),
    ]
