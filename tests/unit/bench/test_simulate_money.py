"""Prices, the bill, and the source documents' figures recomputed and corrected."""

import json
from collections import defaultdict

import pytest

from bench.simulate.assumptions import Load, Scenario
from bench.simulate.calibration import Costs
from bench.simulate.money import autoscale_dollars, monthly_bill, push_dollars
from bench.simulate.outcome import Outcome
from bench.simulate.prices import load_prices
from bench.simulate.run import simulate
from bench.simulate.seed_lines import SeedLine, provider_day, seed_lines
from bench.simulate.sizing import provisioned

_PRICES = load_prices()
_LINES = {line.what: line for line in seed_lines(_PRICES)}


def test_every_price_says_where_and_when_it_is_from() -> None:
    for price in _PRICES.all():
        assert price.source
        assert price.date
        assert price.unit
        assert price.certainty in {"documented", "reported", "unconfirmed"}


@pytest.mark.parametrize(
    "entry",
    [
        {"value": 1, "unit": "u", "date": "2026", "certainty": "reported"},
        {"value": "1", "unit": "u", "date": "2026", "certainty": "reported", "source": "s"},
        {"value": -1, "unit": "u", "date": "2026", "certainty": "reported", "source": "s"},
    ],
)
def test_a_price_without_a_source_or_a_number_is_refused(tmp_path, entry) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"read": "2026-11", "prices": {"thing": entry}}))

    with pytest.raises(ValueError, match="thing"):
        load_prices(path)


@pytest.mark.parametrize(
    ("what", "stated", "recomputed", "corrected"),
    [
        ("mean rate", 579, 578.7, 578.7),
        ("RU/s of all containers", 10_000, 10_000, 120_000),
        ("tracking data", 500, 500, 4500),
        ("providers at 50 M/day", 82_115, 82_115, 4_426_969),
        ("the same at the seeds' own unit prices", 82_115, 82_115, 2_497_665),
        ("providers at 150 M/day", 246_000, 246_345, 13_279_208),
        ("infrastructure at 50 M/day", 8200, 9850, None),
        ("corrected infrastructure", 14_180, 16_230, None),
        ("overrun", 5980, 6380, None),
        ("infrastructure at 150 M/day", 33_660, 33_660, None),
        ("total of the gateway proposal", 90_315, 90_315, None),
        ("total of the gateway proposal at 150 M/day", 279_660, 279_660, None),
        ("7,000 RU/s", 4100, 409, 409),
        ("8,000 RU/s more while active", 4680, 4672, 701),
        ("Service Bus Premium", 1340, 1340, 1354),
        ("messaging units for 20,000/s", 4, 6.67, 16),
        ("80 GB queue is full after", 34, 33.3, 333),
        ("emails queued in 2 h", 23, 23.04, 27.36),
        ("email backlog drains in", 38, 38.4, 56.4),
        ("store load in the spike", 140_000, 140_000, 1_200_000),
        ("140,000 RU/s for 2 h", 164, 164, 33.6),
        ("20 min outage over the budget", 2500, 46.3, 46.3),
        ("synchronous answer", 2121, 2121, None),
        ("the same, blocking pop", 2076, 2076, None),
        ("availability, broker when accepting", 99.9, 99.79, 99.89),
        ("monitoring: bytes a notification for $400", 114, 114.4, None),
    ],
)
def test_a_documents_figure_is_reproduced_and_corrected(what, stated, recomputed, corrected) -> None:
    line = _LINES[what]

    assert line.stated == stated
    assert line.recomputed == pytest.approx(recomputed, rel=5e-3)
    assert line.corrected == (None if corrected is None else pytest.approx(corrected, rel=5e-3))
    assert line.why


def test_cost_of_a_thousand_divides_a_months_money_by_a_months_volume() -> None:
    found = [line for line in seed_lines(_PRICES) if line.what == "cost of 1,000 at 150 M/day"]

    assert [line.stated for line in found] == [1.76, 1.86]
    assert [line.recomputed for line in found] == pytest.approx([1.76, 1.86], rel=0.01)
    assert [line.corrected for line in found] == pytest.approx([0.059, 0.062], abs=5e-4)


def test_the_documents_provider_money_is_one_day() -> None:
    assert provider_day({"email": 0.0001, "sms": 0.0075, "push": 0.00001}) == pytest.approx(82_115)


def test_a_contradiction_is_marked() -> None:
    assert _LINES["infrastructure at 50 M/day"].contradicts_itself
    assert not _LINES["mean rate"].contradicts_itself
    assert not SeedLine("", "", "", 100, 101, None, "").contradicts_itself


def test_our_bill_takes_the_place_of_a_total() -> None:
    replaced = {line.what: line for line in seed_lines(_PRICES, {"total at 50 M/day": 4.4e6})}

    assert replaced["total at 50 M/day"].corrected == 4.4e6
    assert replaced["total at 150 M/day"].corrected is None


def test_pushes_have_a_base_and_two_rates() -> None:
    assert push_dollars(5e6, _PRICES) == 200
    assert push_dollars(20e6, _PRICES) == 300
    assert push_dollars(200e6, _PRICES) == 200 + 900 + 250


def test_autoscale_bills_each_hours_highest_and_a_tenth_at_least() -> None:
    outcome = Outcome("two hours", seconds=7200, hourly_ru=defaultdict(float, {0: 50_000.0, 1: 100.0}))

    assert autoscale_dollars(outcome, 100_000, _PRICES) == pytest.approx((50_000 + 10_000) / 100 * 0.012)


@pytest.fixture(scope="module")
def bills():
    found = []
    for daily in (5e6, 15e6):
        scenario = provisioned(Scenario("day", Load(daily=daily, peak=daily / 25_000), step_seconds=60.0), Costs())
        found.append(monthly_bill(scenario, simulate(scenario, Costs()), Costs(), _PRICES))
    return found


def test_a_bill_is_the_sum_of_its_lines(bills) -> None:
    bill = bills[0]

    assert bill.total() == pytest.approx(bill.total("providers") + bill.total("Azure"))
    assert bill.notifications == pytest.approx(5e6 * 365 / 12, rel=0.02)
    assert all(line.dollars >= 0 for line in bill.lines)


def test_more_notifications_cost_more_on_every_line(bills) -> None:
    small, large = ({line.name: line.dollars for line in bill.lines} for bill in bills)

    assert all(large[name] >= small[name] for name in small)
    assert bills[1].total() > 2 * bills[0].total()


def test_sms_is_most_of_the_money(bills) -> None:
    sms = next(line.dollars for line in bills[0].lines if line.name == "SMS")

    assert sms / bills[0].total("providers") > 0.85
