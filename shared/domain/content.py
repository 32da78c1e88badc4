"""What is said, per channel: the rendered content that a provider carries.

A channel declares its kind of content (shared/channels); the kinds that are older than that are here. Each kind knows
how it is stored: literal content waits in the store between accept and delivery.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Content(ABC):
    """Base of all kinds of content; a kind is a frozen dataclass."""

    __slots__ = ()

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """The content as JSON, for the store; the channel's ``restore_content`` reads it back."""


@dataclass(frozen=True, slots=True)
class EmailContent(Content):
    """One email. ``html`` and ``text`` say the same; at least one of them is present."""

    subject: str
    text: str | None = None
    html: str | None = None

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"subject": self.subject, "text": self.text, "html": self.html}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "EmailContent":
        """What ``stored`` gave."""
        return cls(document["subject"], document["text"], document["html"])


@dataclass(frozen=True, slots=True)
class SmsContent(Content):
    """One SMS, of any number of segments."""

    text: str

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"sms": self.text}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "SmsContent":
        """What ``stored`` gave."""
        return cls(document["sms"])


@dataclass(frozen=True, slots=True)
class PushContent(Content):
    """One push notification; ``data`` reaches the app, not the screen."""

    title: str
    body: str
    data: Mapping[str, str] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"title": self.title, "body": self.body, "data": dict(self.data)}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "PushContent":
        """What ``stored`` gave."""
        return cls(document["title"], document["body"], document["data"])


@dataclass(frozen=True, slots=True)
class WebhookContent(Content):
    """One JSON document for the recipient's own endpoint, as UTF-8 text."""

    body: str

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"json": self.body}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "WebhookContent":
        """What ``stored`` gave."""
        return cls(document["json"])


@dataclass(frozen=True, slots=True)
class UnreadContent(Content):
    """The content of a channel that this version of the service doesn't have; it is kept as it was found."""

    document: Mapping[str, Any]

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return dict(self.document)
