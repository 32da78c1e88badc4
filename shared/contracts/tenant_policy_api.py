"""A tenant's policy as operators read and write it: the whole of it, always.

What is left out has its default, which means that nothing is decided (shared/domain/tenant_policy.py).
"""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from shared.contracts.channel_name import ChannelName
from shared.contracts.field_types import Inbound, Outbound
from shared.domain.tenant_policy import FrequencyCap, Mode, ProviderShare, TenantPolicy

MAX_POLICY_BYTES = 64 * 1024
MAX_PROVIDERS = 8  # of one channel
MAX_COUNTRIES = 300  # there are some 200 calling codes
MAX_PER_SECOND = 1_000_000
MAX_PER_DAY = 1_000_000_000
MAX_CAPPED_SENDS = 1000  # each one that was let through is remembered
MAX_CAP_SECONDS = 31 * 24 * 60 * 60
_INTEGER_LIMIT = 2**53  # beyond it not every reader of JSON keeps an integer exact

ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
CallingCode = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}$")]
PerSecond = Annotated[float, Field(gt=0, le=MAX_PER_SECOND, allow_inf_nan=False)]


class ProviderShareModel(Inbound):
    """One provider in an order of preference."""

    model_config = ConfigDict(strict=True)

    name: ProviderName
    weight: Annotated[int, Field(ge=0, le=1000)] | None = None


class FrequencyCapModel(Inbound):
    """At most ``sends`` to one customer in any window of ``perSeconds``."""

    model_config = ConfigDict(strict=True)

    sends: Annotated[int, Field(ge=1, le=MAX_CAPPED_SENDS)]
    per_seconds: Annotated[int, Field(ge=1, le=MAX_CAP_SECONDS)]


Preference = Annotated[list[ProviderShareModel], Field(min_length=1, max_length=MAX_PROVIDERS)]


class ReplaceTenantPolicy(Inbound):
    """What is decided for one tenant."""

    model_config = ConfigDict(strict=True, json_schema_extra={"examples": [{"mode": "live", "livePercent": 10}]})

    mode: Mode = Mode.LIVE
    live_percent: Annotated[int, Field(ge=0, le=100)] = 100
    providers: Annotated[dict[ChannelName, Preference], Field(default_factory=dict)]
    prefer_cheapest: bool = False
    sends_per_second: PerSecond | None = None
    requests_per_second: PerSecond | None = None
    requests_per_day: Annotated[int, Field(ge=1, le=MAX_PER_DAY)] | None = None
    sms_countries: Annotated[list[CallingCode], Field(max_length=MAX_COUNTRIES)] | None = None
    daily_spend_micros: Annotated[int, Field(ge=0, lt=_INTEGER_LIMIT)] | None = None
    frequency_caps: Annotated[dict[ChannelName, FrequencyCapModel], Field(default_factory=dict)]
    max_sms_per_prefix_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _names_each_provider_once(self) -> Self:
        for channel, shares in self.providers.items():
            if len({share.name for share in shares}) < len(shares):
                raise ValueError(f"providers of {channel} name one of them twice")
            if all(share.weight == 0 for share in shares):
                raise ValueError(f"providers of {channel} have no weight at all")
        return self

    def to_domain(self) -> TenantPolicy:
        """The policy."""
        return TenantPolicy(
            mode=self.mode,
            live_percent=self.live_percent,
            providers={
                channel: tuple(ProviderShare(share.name, share.weight) for share in shares)
                for channel, shares in self.providers.items()
            },
            prefer_cheapest=self.prefer_cheapest,
            sends_per_second=self.sends_per_second,
            requests_per_second=self.requests_per_second,
            requests_per_day=self.requests_per_day,
            sms_countries=None if self.sms_countries is None else frozenset(self.sms_countries),
            daily_spend=self.daily_spend_micros,
            frequency_caps={
                channel: FrequencyCap(cap.sends, timedelta(seconds=cap.per_seconds))
                for channel, cap in self.frequency_caps.items()
            },
            max_sms_per_prefix_per_minute=self.max_sms_per_prefix_per_minute,
        )


class ProviderShareView(Outbound):
    """One provider in an order of preference."""

    name: str
    weight: int | None = None


class FrequencyCapView(Outbound):
    """At most ``sends`` to one customer in any window of ``perSeconds``."""

    sends: int
    per_seconds: int


class TenantPolicyView(Outbound):
    """A tenant's policy; what is not decided is left out, so that it may be changed and put back."""

    mode: str
    live_percent: int
    providers: dict[str, list[ProviderShareView]]
    prefer_cheapest: bool
    sends_per_second: float | None = None
    requests_per_second: float | None = None
    requests_per_day: int | None = None
    sms_countries: list[str] | None = None
    daily_spend_micros: int | None = None
    frequency_caps: dict[str, FrequencyCapView]
    max_sms_per_prefix_per_minute: int | None = None

    @classmethod
    def of(cls, policy: TenantPolicy) -> "TenantPolicyView":
        """The policy as it goes out."""
        return cls(
            mode=policy.mode.value,
            live_percent=policy.live_percent,
            providers={
                channel: [ProviderShareView(name=share.name, weight=share.weight) for share in shares]
                for channel, shares in policy.providers.items()
            },
            prefer_cheapest=policy.prefer_cheapest,
            sends_per_second=policy.sends_per_second,
            requests_per_second=policy.requests_per_second,
            requests_per_day=policy.requests_per_day,
            sms_countries=None if policy.sms_countries is None else sorted(policy.sms_countries),
            daily_spend_micros=policy.daily_spend,
            frequency_caps={
                channel: FrequencyCapView(sends=cap.sends, per_seconds=int(cap.per.total_seconds()))
                for channel, cap in policy.frequency_caps.items()
            },
            max_sms_per_prefix_per_minute=policy.max_sms_per_prefix_per_minute,
        )
