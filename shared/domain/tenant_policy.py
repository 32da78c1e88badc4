"""What the operators of this service decided for one tenant. Every default means that nothing was decided.

A policy is one document in the store and takes effect without a deployment: within seconds in every process.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

_PERCENT = 100


class Mode(StrEnum):
    """Whether providers are called for a tenant."""

    LIVE = "live"
    SHADOW = "shadow"  # accepted, decided and recorded like any other, and not sent


@dataclass(frozen=True, slots=True)
class ProviderShare:
    """One provider in an order of preference. ``weight`` is its share of first choices; None leaves it to the order."""

    name: str
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most ``sends`` to one customer in any window of ``per``."""

    sends: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """What holds for one tenant.

    Attributes:
        mode: whether providers are called at all.
        live_percent: the share of customers, 0 to 100, that are really sent to while the mode is live.
        providers: by channel, the providers in order of preference.
        prefer_cheapest: whether the price book may change that order.
        sends_per_second: provider calls at most, over all channels.
        requests_per_second: notifications accepted at most.
        requests_per_day: the same, from midnight to midnight UTC.
        sms_countries: countries that SMS may go to, named as in phone_country.py; None means all.
        daily_spend: at most so many millionths of the price book's currency in any 24 hours, for messages to phone
            numbers; what costs next to nothing is not counted.
        frequency_caps: by channel, how often one customer may be sent to.
        max_sms_per_prefix_per_minute: SMS at most to numbers of one country, by its calling code.
        is_assumed: nobody could be asked and these are the defaults; who must not be wrong asks again.
    """

    mode: Mode = Mode.LIVE
    live_percent: int = _PERCENT
    providers: Mapping[str, tuple[ProviderShare, ...]] = field(default_factory=dict)
    prefer_cheapest: bool = False
    sends_per_second: float | None = None
    requests_per_second: float | None = None
    requests_per_day: int | None = None
    sms_countries: frozenset[str] | None = None
    daily_spend: int | None = None
    frequency_caps: Mapping[str, FrequencyCap] = field(default_factory=dict)
    max_sms_per_prefix_per_minute: int | None = None
    is_assumed: bool = False

    @property
    def may_withhold(self) -> bool:
        """Whether some of the tenant's customers are not sent to."""
        return self.mode is Mode.SHADOW or self.live_percent < _PERCENT

    def is_live_for(self, tenant: str, whom: str) -> bool:
        """Whether ``whom`` (a customer's id, or a tracking id where there is none) is really sent to.

        The same answer every time, in every process. A customer who is live at a share is live at every higher one.
        """
        if self.mode is Mode.SHADOW:
            return False
        return self.live_percent >= _PERCENT or _percentile(tenant, whom) < self.live_percent


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A tenant's policy and the version it has; ``version`` is empty while none was ever decided."""

    policy: TenantPolicy
    version: str = ""


def _percentile(tenant: str, whom: str) -> int:
    """0 to 99, evenly spread over customers and differently for each tenant."""
    return int.from_bytes(hashlib.sha256(f"{tenant}\n{whom}".encode()).digest()[:8]) % _PERCENT
