"""What is said, per channel: the rendered content that a provider carries.

A channel declares its kind of content (shared/channels); the kinds that are older than that are here. Each kind knows
how it is stored: literal content waits in the store between accept and delivery.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Content(ABC):
    """Base of all kinds of content; a kind is a frozen dataclass."""

    __slots__ = ()

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """The content as JSON, for the store; the channel's ``restore_content`` reads it back."""


class RenderedText(str):
    """A text that remembers the pieces it was put together from, constant ones and filled-in ones.

    Texts of one template can so be compared piece by piece (shared/domain/common_text.py). Whatever is made of one
    (trimmed, joined) is a plain text again, of one piece.
    """

    __slots__ = ("pieces",)
    pieces: tuple[str, ...]

    @classmethod
    def of(cls, pieces: Iterable[str]) -> "RenderedText":
        """The text that ``pieces`` make."""
        kept = tuple(pieces)
        text = cls("".join(kept))
        text.pieces = kept
        return text


def pieces_of(text: str | None) -> Sequence[str]:
    """The pieces of a text; none when there is nothing in it."""
    if not text:
        return ()
    return text.pieces if isinstance(text, RenderedText) else (text,)


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
    """One push notification; ``data`` reaches the app, not the screen. A later one with the same key replaces it."""

    title: str
    body: str
    data: Mapping[str, str] = field(default_factory=dict)
    collapse_key: str | None = None

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        collapse = {"collapseKey": self.collapse_key} if self.collapse_key else {}
        return {"title": self.title, "body": self.body, "data": dict(self.data), **collapse}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "PushContent":
        """What ``stored`` gave."""
        return cls(document["title"], document["body"], document["data"], document.get("collapseKey"))


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
