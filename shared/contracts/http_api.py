"""The public API's requests and answers (v1), and the limits on what may come in.

Unknown fields are refused, so that a misspelt option is an error and not a silent default. Answers leave out what is
not known.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared.channels import CHANNELS
from shared.domain.address import DeviceToken
from shared.domain.channel import Recipient
from shared.domain.content import Content, EmailContent, PushContent, SmsContent, WebhookContent
from shared.domain.notification import Category, Lane

MAX_BODY_BYTES = 64 * 1024  # one notification
MAX_BATCH_BODY_BYTES = 8 * 1024 * 1024  # a batch of 1,000
MAX_BATCH_ITEMS = 1000  # S0-15
MAX_DATA_BYTES = 32 * 1024  # the template data of one notification, as JSON
MAX_DEVICES = 10
MAX_METADATA_ENTRIES = 20
MAX_IDEMPOTENCY_KEY_LENGTH = 255
MAX_SCHEDULE_AHEAD = timedelta(days=365)
MAX_WAIT = timedelta(seconds=30)
_INTEGER_LIMIT = 2**63


def _without_control_characters(text: str) -> str:
    if not text.isprintable():
        raise ValueError("contains a control character or an invisible separator")
    return text


def _storable(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is outside the calendar") from error


def _storable_json(values: dict[str, JsonValue]) -> dict[str, JsonValue]:
    # Python reads NaN, Infinity and endless integers; JSON (RFC 8259) has no such numbers and the store takes none.
    for number in _numbers(values):
        if isinstance(number, float) and not isfinite(number):
            raise ValueError("contains a number that JSON does not have")
        if isinstance(number, int) and abs(number) >= _INTEGER_LIMIT:
            raise ValueError("contains an integer of more than 63 bits")
    return values


def _numbers(value: JsonValue) -> Iterator[int | float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _numbers(part)
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part)


def _known_channel(name: str) -> str:
    if name not in CHANNELS:
        raise ValueError(f"is not a channel; there are {', '.join(CHANNELS)}")
    return name


def _plain(max_length: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=max_length)


Label = Annotated[str, _plain(128), AfterValidator(_without_control_characters)]
MetadataValue = Annotated[str, _plain(256), AfterValidator(_without_control_characters)]
ChannelName = Annotated[str, AfterValidator(_known_channel)]
TemplateId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
BodyText = Annotated[str, _plain(60_000)]
Instant = Annotated[AwareDatetime, AfterValidator(_storable)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_storable_json)]
Line = Annotated[str, _plain(998), AfterValidator(_without_control_characters)]  # RFC 5322 2.1.1: 998 characters


class _Inbound(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False)


class DeviceTokenModel(_Inbound):
    """One app installation."""

    platform: Literal["fcm", "apns"]
    token: Annotated[str, _plain(4096)]


class RecipientModel(_Inbound):
    """Whom to reach; each channel asked for needs its own address here."""

    customer_id: Label | None = None
    email: Annotated[str, _plain(320)] | None = None
    phone: Annotated[str, _plain(32)] | None = None
    device_tokens: Annotated[list[DeviceTokenModel], Field(max_length=MAX_DEVICES, default_factory=list)]
    webhook_url: Annotated[str, _plain(2048)] | None = None

    def to_domain(self) -> Recipient:
        """The recipient as the channels know it."""
        return Recipient(
            customer_id=self.customer_id,
            email=self.email,
            phone=self.phone,
            device_tokens=tuple(DeviceToken(token.platform, token.token) for token in self.device_tokens),
            webhook_url=self.webhook_url,
        )


class TemplateModel(_Inbound):
    """A template; without a version, the newest published one is pinned."""

    id: TemplateId
    version: Version | None = None
    locale: Locale | None = None


class EmailContentModel(_Inbound):
    """A literal email; nothing in it is interpreted."""

    subject: Line
    text: BodyText | None = None
    html: BodyText | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> Self:
        if self.text is None and self.html is None:
            raise ValueError("needs text or html")
        return self


class SmsContentModel(_Inbound):
    """A literal SMS."""

    text: Annotated[str, _plain(1600)]


class PushContentModel(_Inbound):
    """A literal push notification."""

    title: Line
    body: Annotated[str, _plain(2000)]
    data: dict[Label, MetadataValue] = {}


class ContentModel(_Inbound):
    """Literal content per channel, instead of a template."""

    email: EmailContentModel | None = None
    sms: SmsContentModel | None = None
    push: PushContentModel | None = None
    webhook: JsonObject | None = None

    def for_channel(self, channel: str) -> Content | None:
        """The literal content for ``channel``; None when the request has none."""
        match channel:
            case "email" if self.email:
                return EmailContent(self.email.subject, self.email.text, self.email.html)
            case "sms" if self.sms:
                return SmsContent(self.sms.text)
            case "push" if self.push:
                return PushContent(self.push.title, self.push.body, self.push.data)
            case "webhook" if self.webhook is not None:
                return WebhookContent(json.dumps(self.webhook, ensure_ascii=False, separators=(",", ":")))
        return None


class SubmitNotification(_Inbound):
    """One notification to one recipient."""

    recipient: RecipientModel
    channels: Annotated[list[ChannelName], Field(min_length=1, max_length=8)]
    template: TemplateModel | None = None
    content: ContentModel | None = None
    data: JsonObject = {}
    priority: Lane = Lane.NORMAL
    category: Category | None = None
    reference: Label | None = None
    correlation_id: Label | None = None
    send_at: Instant | None = None
    expires_at: Instant | None = None
    metadata: Annotated[dict[Label, MetadataValue], Field(max_length=MAX_METADATA_ENTRIES)] = {}

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.template is None) == (self.content is None):
            raise ValueError("needs either template or content")
        return self


class SubmitBatch(BaseModel):
    """The envelope of a batch; the items are validated one by one, so that one bad item refuses only itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notifications: Annotated[list[JsonValue], Field(min_length=1, max_length=MAX_BATCH_ITEMS)]


class RegisterCallbackEndpoint(_Inbound):
    """Where a consumer wants to be called, and about what."""

    url: Annotated[str, _plain(2048)]
    statuses: Annotated[list[Literal["SENT", "DELIVERED", "FAILED", "BOUNCED"]], Field(min_length=1, max_length=8)]


class _Outbound(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> bytes:
        """The answer as it goes out: camelCase, without what is not known."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class AttemptView(_Outbound):
    """One try, as the consumer sees it."""

    number: int
    id: str
    provider: str | None = None
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    provider_message_id: str | None = None


class DeliveryView(_Outbound):
    """One channel's part of a notification, as the consumer sees it."""

    channel: str
    status: str
    provider: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    in_doubt: bool | None = None
    due_at: datetime | None = None
    attempts: list[AttemptView] | None = None


class HistoryView(_Outbound):
    """One change of status."""

    at: datetime
    channel: str
    status: str
    attempt: int | None = None
    provider: str | None = None
    reason: str | None = None


class NotificationView(_Outbound):
    """A notification's status."""

    tracking_id: str
    status: str
    created_at: datetime
    priority: str
    category: str
    customer_id: str | None = None
    reference: str | None = None
    correlation_id: str | None = None
    batch_id: str | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    template: dict[str, str] | None = None
    metadata: dict[str, str] | None = None
    deliveries: list[DeliveryView]
    history: list[HistoryView] | None = None
    links: dict[str, str]


class AcceptedDelivery(_Outbound):
    """One delivery just accepted."""

    channel: str
    status: str


class AcceptedView(_Outbound):
    """The answer to a submitted notification (202)."""

    tracking_id: str
    status: str = "accepted"
    deliveries: list[AcceptedDelivery]
    links: dict[str, str]


class BatchItemView(_Outbound):
    """What became of one item of a batch."""

    index: int
    tracking_id: str | None = None
    problem: dict[str, JsonValue] | None = None


class BatchView(_Outbound):
    """The answer to a submitted batch (202, or 207 when some items are refused)."""

    batch_id: str
    accepted: int
    rejected: int
    items: list[BatchItemView]


class CallbackEndpointView(_Outbound):
    """A registered callback endpoint; ``secret`` only in the answer that created it."""

    id: str
    url: str
    statuses: list[str]
    state: str
    created_at: datetime
    secret: str | None = None
