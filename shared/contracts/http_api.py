"""The public API's requests and answers (v1), and the limits on what may come in.

Unknown fields are refused, so that a misspelt option is an error and not a silent default. Answers leave out what is
not known.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from shared.channels import CHANNELS
from shared.contracts.channel_name import ChannelName
from shared.contracts.examples import NOTIFICATION_EXAMPLE
from shared.contracts.field_types import (
    Inbound,
    Instant,
    JsonObject,
    Label,
    Locale,
    MetadataValue,
    Outbound,
    TemplateId,
    Version,
)
from shared.domain.channel import Recipient
from shared.domain.content import Content
from shared.domain.notification import Category, Lane

MAX_BODY_BYTES = 64 * 1024  # one notification
MAX_BATCH_BODY_BYTES = 8 * 1024 * 1024  # a batch of 1,000
MAX_BATCH_ITEMS = 1000  # S0-15
MAX_DATA_BYTES = 32 * 1024  # the template data of one notification, as JSON
MAX_CHANNELS = 8  # of one notification
MAX_DEADLINE = timedelta(days=1)  # of a fallback; afterwards nobody stands by any more
MAX_METADATA_ENTRIES = 20
MAX_IDEMPOTENCY_KEY_LENGTH = 255
MAX_SCHEDULE_AHEAD = timedelta(days=365)
MAX_WAIT = timedelta(seconds=30)


def _recipient_fields() -> dict[str, Any]:
    """Every field that a channel brings, once. Raises ValueError when two channels mean different things by one."""
    fields: dict[str, Any] = {}
    for channel in CHANNELS.values():
        for name, kind in channel.recipient.items():
            if fields.setdefault(name, kind) != kind:
                raise ValueError(f"the recipient's field {name} has two types")
    return fields


_RECIPIENT_FIELDS = _recipient_fields()


class _Recipient(Inbound):
    customer_id: Label | None = None

    def to_domain(self) -> Recipient:
        """The recipient as the channels know it."""
        written = {name: value for name in _RECIPIENT_FIELDS if (value := getattr(self, name)) is not None}
        return Recipient(self.customer_id, written)


class _Content(Inbound):
    def for_channel(self, channel: str) -> Content | None:
        """The literal content for ``channel``; None when the request has none."""
        literal = getattr(self, channel)
        return None if literal is None else CHANNELS[channel].from_literal(literal)


if TYPE_CHECKING:  # the fields come from the channels, which only a running program knows

    class RecipientModel(_Recipient):
        """Whom to reach; each channel asked for needs its own address here."""

    class ContentModel(_Content):
        """Literal content per channel, instead of a template."""

else:
    RecipientModel = create_model(
        "RecipientModel",
        __base__=_Recipient,
        __doc__="Whom to reach; each channel asked for needs its own address here.",
        **{name: (kind | None, None) for name, kind in _RECIPIENT_FIELDS.items()},
    )
    ContentModel = create_model(
        "ContentModel",
        __base__=_Content,
        __doc__="Literal content per channel, instead of a template.",
        **{channel.name: (channel.literal | None, None) for channel in CHANNELS.values()},
    )


class TemplateModel(Inbound):
    """A template; without a version, the newest published one is pinned."""

    id: TemplateId
    version: Version | None = None
    locale: Locale | None = None


class RoutingModel(Inbound):
    """Channels in turn: the next one is used when the one before failed, or was not confirmed in time.

    Without ``order`` it is the customer's, as far as the customer can be reached on its channels.
    """

    strategy: Literal["fallback"]
    order: Annotated[list[ChannelName], Field(min_length=2, max_length=MAX_CHANNELS)] | None = None
    deadline_seconds: Annotated[int, Field(ge=1, le=int(MAX_DEADLINE.total_seconds()), strict=True)] | None = None

    @property
    def deadline(self) -> timedelta | None:
        """How long a channel has to be confirmed before the next one takes over."""
        return None if self.deadline_seconds is None else timedelta(seconds=self.deadline_seconds)


class SubmitNotification(Inbound):
    """One notification to one recipient."""

    model_config = ConfigDict(json_schema_extra={"examples": [NOTIFICATION_EXAMPLE]})

    recipient: RecipientModel
    routing: RoutingModel | None = None
    channels: Annotated[list[ChannelName], Field(min_length=1, max_length=MAX_CHANNELS)] | None = Field(
        default=None, validate_default=True
    )
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

    @field_validator("channels")
    @classmethod
    def _are_all_or_in_turn(cls, channels: list[str] | None, others: ValidationInfo) -> list[str] | None:
        if "routing" in others.data and (channels is None) == (others.data["routing"] is None):
            raise ValueError("is required, unless routing says which channels are used in turn; not both")
        return channels

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.template is None) == (self.content is None):
            raise ValueError("needs either template or content")
        return self

    def wanted_channels(self) -> Iterator[tuple[str, str]]:
        """Each channel asked for, after the JSON pointer to it; in order. None where that is left to the customer."""
        where, names = ("/routing/order", self.routing.order) if self.routing else ("/channels", self.channels)
        return ((f"{where}/{index}", name) for index, name in enumerate(names or ()))


class SubmitBatch(BaseModel):
    """The envelope of a batch; the items are validated one by one, so that one bad item refuses only itself."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"notifications": [NOTIFICATION_EXAMPLE]}]},
    )

    notifications: Annotated[list[JsonValue], Field(min_length=1, max_length=MAX_BATCH_ITEMS)]


class TargetView(Outbound):
    """What one try came to at one of several targets, such as a customer's devices, counted from 0."""

    number: int
    outcome: str
    reason: str | None = None
    provider_message_id: str | None = None


class AttemptView(Outbound):
    """One try, as the consumer sees it."""

    number: int
    id: str
    provider: str | None = None
    routed_because: str | None = None
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    provider_message_id: str | None = None
    targets: list[TargetView] | None = None


class DeliveryView(Outbound):
    """One channel's part of a notification, as the consumer sees it."""

    channel: str
    status: str
    provider: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    in_doubt: bool | None = None
    due_at: datetime | None = None
    deadline_at: datetime | None = None
    cancellation: Literal["cancelled", "too_late", "not_sent"] | None = None
    held_because: str | None = None
    held_until: datetime | None = None
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
    test: bool | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    cancelled_at: datetime | None = None
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
