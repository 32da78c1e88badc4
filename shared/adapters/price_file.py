"""The price book in ``shared/prices``: one dated file, in which each price says how certain it is.

Providers change their prices, and contracts differ from lists: the setting ``PRICE_FILE`` names another file of the
same form.
"""

import json
from pathlib import Path
from typing import Any

from shared.domain.phone_country import is_country
from shared.domain.prices import Price, PriceBook

BUILT_IN = Path(__file__).parent.parent / "prices" / "2026-11.json"
CERTAINTIES = frozenset({"documented", "reported", "placeholder"})


def read_prices(file: Path = BUILT_IN) -> PriceBook:
    """The book in ``file``.

    Raises:
        ValueError: the file is not a price book; the message says where.
    """
    try:
        book: dict[str, Any] = json.loads(file.read_text("utf-8"))
        prices = [_price(entry) for entry in book["prices"]]
        return PriceBook(prices, str(book["currency"]))
    except OSError as error:
        raise ValueError(f"the price file can't be read: {type(error).__name__}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"the price file is malformed: {error}") from error


def _price(entry: dict[str, Any]) -> Price:
    micros, country = entry["micros"], entry.get("country")
    if not isinstance(micros, int) or micros < 0:
        raise ValueError(f"the price file has a price that is no whole number from 0 on: {entry}")
    if country is not None and not is_country(country):
        raise ValueError(f"the price file names a country that does not exist: {country}")
    if entry["certainty"] not in CERTAINTIES or not entry["source"]:
        raise ValueError(f"the price file has a price without its source: {entry}")
    return Price(channel=entry["channel"], micros=micros, provider=entry.get("provider"), country=country)
