"""Prices from the dated file: each has a unit, a date, a source, and how certain it is."""

import json
from dataclasses import dataclass
from pathlib import Path

PRICES = Path(__file__).with_name("prices-2026-11.json")
_REQUIRED = {"value", "unit", "date", "certainty", "source"}


@dataclass(frozen=True)
class Price:
    """One list price."""

    name: str
    value: float
    unit: str
    date: str
    certainty: str
    source: str


class PriceList:
    """The prices of one file, by name."""

    def __init__(self, prices: dict[str, Price], read: str) -> None:
        self._prices = prices
        self.read = read

    def __getitem__(self, name: str) -> float:
        return self._prices[name].value

    def all(self) -> list[Price]:
        return list(self._prices.values())


def load_prices(path: Path = PRICES) -> PriceList:
    """Raises: ValueError: a price lacks its unit, date, certainty or source, or is not a number from 0 on."""
    document = json.loads(path.read_text())
    prices = {}
    for name, entry in document["prices"].items():
        if missing := _REQUIRED - entry.keys():
            raise ValueError(f"{path.name}: {name} lacks {', '.join(sorted(missing))}")
        if not isinstance(entry["value"], int | float) or entry["value"] < 0:
            raise ValueError(f"{path.name}: {name} is not a number from 0 on")
        prices[name] = Price(name, **{key: entry[key] for key in _REQUIRED})
    return PriceList(prices, document["read"])
