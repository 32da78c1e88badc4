"""What tells fraud with paid-for messages from traffic: somebody makes a service send SMS to numbers that pay them.

It shows as sudden traffic to countries that nobody sent to before, and often as messages that are never delivered. The
rules are deliberately few and coarse; what they hold back an operator can allow, by listing the tenant's countries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

KNOWN_AFTER = timedelta(hours=24)  # a country that was sent to for that long is no news any more
NEW_COUNTRIES_SHARE = 0.25  # of a tenant's cap on spending, for all countries together that are new to it
LONGEST_WAIT = timedelta(minutes=15)  # for a turn within a country's velocity; a code that late is of no use
_RECEIPTS_TO_JUDGE = 50
_LOWEST_SHARE_DELIVERED = 0.3


class Signal(StrEnum):
    """What made a tenant's SMS look like fraud; the words stand in the log and in alerts."""

    VELOCITY = "velocity"  # more to one country than its cap a minute, for longer than anybody waits
    LOW_DELIVERY = "low_delivery"  # hardly anything that was sent to the country was delivered
    NEW_COUNTRIES = "new_countries"  # the share of the spending cap for countries that are new is used up
    SPEND_CAP = "spend_cap"  # the spending cap is used up


@dataclass(frozen=True, slots=True)
class Receipts:
    """What became of a tenant's recent SMS to one country, as far as providers said."""

    delivered: int = 0
    failed: int = 0

    @property
    def look_pumped(self) -> bool:
        """Whether so little was delivered that nobody would pay for more."""
        known = self.delivered + self.failed
        return known >= _RECEIPTS_TO_JUDGE and self.delivered < _LOWEST_SHARE_DELIVERED * known


def is_new(country: str, first_sent: Mapping[str, float], now: float) -> bool:
    """Whether a tenant that sent to countries first at these times (seconds since the epoch) hardly knows ``country``.

    A tenant all of whose countries are new has to begin somewhere: nothing is new to it.
    """
    known = {name for name, at in first_sent.items() if at <= now - KNOWN_AFTER.total_seconds()}
    return bool(known) and country not in known
