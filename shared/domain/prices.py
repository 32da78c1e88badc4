"""What a provider charges for one unit, by channel and country: what routing compares and spending caps count.

Money is in millionths of the book's currency, as whole numbers, so that sums are exact. A unit is what is charged for:
an email, an SMS segment, a push. Countries are named as in phone_country.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Price:
    """One line of the book. Without a provider or a country it stands for all that have no line of their own."""

    channel: str
    micros: int
    provider: str | None = None
    country: str | None = None


class PriceBook:
    """Prices by the most specific line: the provider's own before anybody's, the country's before all countries'."""

    def __init__(self, prices: Iterable[Price] = (), currency: str = "USD") -> None:
        self.currency = currency
        self._micros = {(price.provider, price.channel, price.country): price.micros for price in prices}

    def price_of(self, provider: str, channel: str, country: str | None = None, units: int = 1) -> int:
        """Millionths for ``units``. 0 when the book says nothing about the channel."""
        for place in (
            (provider, channel, country),
            (provider, channel, None),
            (None, channel, country),
            (None, channel, None),
        ):
            if place in self._micros:
                return self._micros[place] * units
        return 0
