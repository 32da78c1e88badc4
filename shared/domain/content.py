"""What is said, per channel: the rendered content that a provider carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EmailContent:
    """One email. ``html`` and ``text`` say the same; at least one of them is present."""

    subject: str
    text: str | None = None
    html: str | None = None


@dataclass(frozen=True, slots=True)
class SmsContent:
    """One SMS, of any number of segments."""

    text: str


@dataclass(frozen=True, slots=True)
class PushContent:
    """One push notification; ``data`` reaches the app, not the screen."""

    title: str
    body: str
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebhookContent:
    """One JSON document for the recipient's own endpoint, as UTF-8 text."""

    body: str


Content = EmailContent | SmsContent | PushContent | WebhookContent
