"""``/v1/preferences/{customerId}``: a customer's profile as consumers write and read it."""

from datetime import datetime, time
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from shared.contracts.channel_name import ChannelName
from shared.contracts.examples import PREFERENCES_EXAMPLE
from shared.contracts.field_types import Inbound, Instant, Label, Locale, Outbound, plain
from shared.contracts.http_api import RecipientModel
from shared.domain.notification import Category
from shared.domain.preferences import Consent, Preferences, QuietHours

MAX_PREFERENCES_BYTES = 32 * 1024
_TIME = StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not an IANA time zone such as Europe/Berlin")
    return name


LocalTime = Annotated[str, _TIME]
TimeZone = Annotated[str, plain(64), AfterValidator(_known_zone)]
ConsentChannel = ChannelName | Literal["*"]


class ConsentModel(Inbound):
    """A customer's word. ``at`` is when it was given; left out, it is given now."""

    granted: bool
    source: Label = "api"
    at: Instant | None = None


class QuietHoursModel(Inbound):
    """Local times of the customer's zone; over midnight when ``start`` is later than ``end``."""

    start: LocalTime
    end: LocalTime

    @model_validator(mode="after")
    def _leaves_some_time(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end must differ; to send nothing at all, use pausedUntil")
        return self


class PreferencesModel(Inbound):
    """The whole profile; what is left out is not known."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREFERENCES_EXAMPLE]})

    addresses: RecipientModel | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    consents: Annotated[dict[Category, dict[ConsentChannel, ConsentModel]], Field(default_factory=dict)]
    quiet_hours: QuietHoursModel | None = None
    fallback_order: Annotated[list[ChannelName], Field(max_length=8, default_factory=list)]
    paused_until: Instant | None = None

    @field_validator("addresses")
    @classmethod
    def _names_nobody(cls, addresses: RecipientModel | None) -> RecipientModel | None:
        if addresses is not None and addresses.customer_id is not None:
            raise ValueError("has no customerId of its own; the customer is in the path")
        return addresses

    @model_validator(mode="after")
    def _names_a_channel_once(self) -> Self:
        if len(set(self.fallback_order)) < len(self.fallback_order):
            raise ValueError("fallbackOrder names a channel twice")
        return self

    def to_domain(self, now: datetime) -> Preferences:
        """The profile; a consent without a time was given ``now``."""
        return Preferences(
            addresses=self.addresses.to_domain().written if self.addresses else {},
            locale=self.locale,
            time_zone=self.time_zone,
            consents={
                (category.value, channel): Consent(word.granted, word.source, min(word.at or now, now))
                for category, channels in self.consents.items()
                for channel, word in channels.items()
            },
            quiet_hours=QuietHours(time.fromisoformat(self.quiet_hours.start), time.fromisoformat(self.quiet_hours.end))
            if self.quiet_hours
            else None,
            fallback_order=tuple(self.fallback_order),
            paused_until=self.paused_until,
            changed_at=now,
        )


class ConsentView(Outbound):
    """A customer's word."""

    granted: bool
    source: str
    at: datetime


class QuietHoursView(Outbound):
    """Local times of the customer's zone."""

    start: str
    end: str


class PreferencesView(Outbound):
    """A customer's profile. The answer's ETag is its version."""

    customer_id: str
    addresses: RecipientModel
    locale: str | None = None
    time_zone: str | None = None
    consents: dict[str, dict[str, ConsentView]]
    quiet_hours: QuietHoursView | None = None
    fallback_order: list[str]
    paused_until: datetime | None = None
    changed_at: datetime | None = None

    @classmethod
    def of(cls, customer_id: str, preferences: Preferences) -> "PreferencesView":
        """The view of a profile."""
        quiet = preferences.quiet_hours
        consents: dict[str, dict[str, ConsentView]] = {}
        for (category, channel), word in preferences.consents.items():
            shown = ConsentView(granted=word.granted, source=word.source, at=word.at)
            consents.setdefault(category, {})[channel] = shown
        return cls(
            customer_id=customer_id,
            addresses=RecipientModel.model_construct(**preferences.addresses),
            locale=preferences.locale,
            time_zone=preferences.time_zone,
            consents=consents,
            quiet_hours=QuietHoursView(start=f"{quiet.start:%H:%M}", end=f"{quiet.end:%H:%M}") if quiet else None,
            fallback_order=list(preferences.fallback_order),
            paused_until=preferences.paused_until,
            changed_at=preferences.changed_at,
        )
