"""The public API's requests and answers (v1), and the limits on what may come in.

Unknown fields are refused, so that a misspelt option is an error and not a silent default. Answers leave out what is
not known.
"""

import json
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from shared.contracts.examples import CALLBACK_ENDPOINT_EXAMPLE, NOTIFICATION_EXAMPLE
from shared.contracts.field_types import (
    BodyText,
    ChannelName,
    Inbound,
    Instant,
    JsonObject,
    Label,
    Line,
    Locale,
    MetadataValue,
    Outbound,
    TemplateId,
    Version,
    plain,
)
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


class DeviceTokenModel(Inbound):
    """One app installation."""

    platform: Literal["fcm", "apns"]
    token: Annotated[str, plain(4096)]


class RecipientModel(Inbound):
    """Whom to reach; each channel asked for needs its own address here."""

    customer_id: Label | None = None
    email: Annotated[str, plain(320)] | None = None
    phone: Annotated[str, plain(32)] | None = None
    device_tokens: Annotated[list[DeviceTokenModel], Field(max_length=MAX_DEVICES, default_factory=list)]
    webhook_url: Annotated[str, plain(2048)] | None = None

    def to_domain(self) -> Recipient:
        """The recipient as the channels know it."""
        return Recipient(
            customer_id=self.customer_id,
            email=self.email,
            phone=self.phone,
            device_tokens=tuple(DeviceToken(token.platform, token.token) for token in self.device_tokens),
            webhook_url=self.webhook_url,
        )


class TemplateModel(Inbound):
    """A template; without a version, the newest published one is pinned."""

    id: TemplateId
    version: Version | None = None
    locale: Locale | None = None


class EmailContentModel(Inbound):
    """A literal email; nothing in it is interpreted."""

    subject: Line
    text: BodyText | None = None
    html: BodyText | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> Self:
        if self.text is None and self.html is None:
            raise ValueError("needs text or html")
        return self


class SmsContentModel(Inbound):
    """A literal SMS."""

    text: Annotated[str, plain(1600)]


class PushContentModel(Inbound):
    """A literal push notification."""

    title: Line
    body: Annotated[str, plain(2000)]
    data: Annotated[dict[Label, MetadataValue], Field(default_factory=dict)]


class ContentModel(Inbound):
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


class SubmitNotification(Inbound):
    """One notification to one recipient."""

    model_config = ConfigDict(json_schema_extra={"examples": [NOTIFICATION_EXAMPLE]})

    recipient: RecipientModel
    channels: Annotated[list[ChannelName], Field(min_length=1, max_length=8)]
    template: TemplateModel | None = None
    content: ContentModel | None = None
    data: Annotated[JsonObject, Field(default_factory=dict)]
    priority: Lane = Lane.NORMAL
    category: Category | None = None
    reference: Label | None = None
    correlation_id: Label | None = None
    send_at: Instant | None = None
    expires_at: Instant | None = None
    metadata: Annotated[dict[Label, MetadataValue], Field(max_length=MAX_METADATA_ENTRIES, default_factory=dict)]

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.template is None) == (self.content is None):
            raise ValueError("needs either template or content")
        return self


class SubmitBatch(BaseModel):
    """The envelope of a batch; the items are validated one by one, so that one bad item refuses only itself."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"notifications": [NOTIFICATION_EXAMPLE]}]},
    )

    notifications: Annotated[list[JsonValue], Field(min_length=1, max_length=MAX_BATCH_ITEMS)]


class RegisterCallbackEndpoint(Inbound):
    """Where a consumer wants to be called, and about what."""

    model_config = ConfigDict(json_schema_extra={"examples": [CALLBACK_ENDPOINT_EXAMPLE]})

    url: Annotated[str, plain(2048)]
    statuses: Annotated[list[Literal["SENT", "DELIVERED", "FAILED", "BOUNCED"]], Field(min_length=1, max_length=8)]


class AttemptView(Outbound):
    """One try, as the consumer sees it."""

    number: int
    id: str
    provider: str | None = None
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    provider_message_id: str | None = None


class DeliveryView(Outbound):
    """One channel's part of a notification, as the consumer sees it."""

    channel: str
    status: str
    provider: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    in_doubt: bool | None = None
    due_at: datetime | None = None
    attempts: list[AttemptView] | None = None


class HistoryView(Outbound):
    """One change of status."""

    at: datetime
    channel: str
    status: str
    attempt: int | None = None
    provider: str | None = None
    reason: str | None = None


class NotificationView(Outbound):
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


class AcceptedDelivery(Outbound):
    """One delivery just accepted."""

    channel: str
    status: str


class AcceptedView(Outbound):
    """The answer to a submitted notification (202)."""

    tracking_id: str
    status: str = "accepted"
    deliveries: list[AcceptedDelivery]
    links: dict[str, str]


class BatchItemView(Outbound):
    """What became of one item of a batch."""

    index: int
    tracking_id: str | None = None
    problem: dict[str, JsonValue] | None = None


class BatchView(Outbound):
    """The answer to a submitted batch (202, or 207 when some items are refused)."""

    batch_id: str
    accepted: int
    rejected: int
    items: list[BatchItemView]


class CallbackEndpointView(Outbound):
    """A registered callback endpoint; ``secret`` only in the answer that created it."""

    id: str
    url: str
    statuses: list[str]
    state: str
    created_at: datetime
    secret: str | None = None
