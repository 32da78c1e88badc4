"""Lists of notifications, as their consumer asks for them and sees them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from shared.contracts.field_types import Inbound, Instant, Label, Outbound, TemplateId
from shared.contracts.query import Cursor

MAX_PAGE = 100
USUAL_PAGE = 50

NotificationStatus = Literal[
    "accepted", "sending", "sent", "delivered", "bounced", "failed", "expired", "cancelled", "suppressed"
]
PageSize = Annotated[
    int, BeforeValidator(lambda text: int(text) if str(text).isdecimal() else text), Field(strict=True)
]


class ListParameters(Inbound):
    """Which notifications are wanted; all of the last 90 days without any bound."""

    customer_id: Label | None = None
    reference: Label | None = None
    template: TemplateId | None = None
    status: NotificationStatus | None = None
    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None
    limit: Annotated[PageSize, Field(ge=1, le=MAX_PAGE)] = USUAL_PAGE
    cursor: Cursor | None = None


class ListedDelivery(Outbound):
    """One channel's part of a listed notification."""

    channel: str
    status: str
    reason: str | None = None
    provider: str | None = None


class ListedNotification(Outbound):
    """One notification in a list; its own address has the rest."""

    tracking_id: str
    status: str
    created_at: datetime
    priority: str
    category: str
    customer_id: str | None = None
    reference: str | None = None
    template: str | None = None
    deliveries: list[ListedDelivery]
    links: dict[str, str]


class NotificationPageView(Outbound):
    """Notifications, newest first. ``next`` is the cursor of the page after this one."""

    notifications: list[ListedNotification]
    next: str | None = None
