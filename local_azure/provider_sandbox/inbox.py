"""The messages that arrived, with what became of them: what the page and scripts read.

Bounded, in memory: the last 5,000 accepted messages and the last 500 refused calls, at most about 128 MB.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

KEPT_MESSAGES = 5_000
KEPT_REFUSALS = 500
KEPT_BYTES = 128 * 1024 * 1024


def iso_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Message:
    """One message to one recipient. `content` is shared by a call's recipients, `merge` is the recipient's own."""

    channel: str
    provider: str
    recipient: str
    sender: str
    attempt_id: str | None
    provider_id: str
    content: dict[str, Any]
    merge: dict[str, str]
    outcome: str
    accepted: bool
    http_status: int | None
    at: float
    size_bytes: int
    id: int = 0
    revision: int = 0
    state: str = ""
    history: list[tuple[str, float, bool | None]] = field(default_factory=list)

    def as_json(self, *, with_content: bool = True) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": self.id,
            "revision": self.revision,
            "at": iso_time(self.at),
            "channel": self.channel,
            "provider": self.provider,
            "recipient": self.recipient,
            "sender": self.sender,
            "attemptId": self.attempt_id,
            "providerMessageId": self.provider_id,
            "outcome": self.outcome,
            "accepted": self.accepted,
            "httpStatus": self.http_status,
            "state": self.state,
            "history": [{"step": step, "at": iso_time(at), "receiptTaken": taken} for step, at, taken in self.history],
        }
        content = merged(self.content, self.merge)
        return shown | ({"content": content} if with_content else {"preview": _preview(content)})


def merged(content: Any, merge: dict[str, str]) -> Any:
    """The content with every substitution carried out, as the provider does before it sends."""
    if not merge:
        return content
    if isinstance(content, dict):
        return {name: merged(value, merge) for name, value in content.items()}
    if isinstance(content, str):
        for tag, value in merge.items():
            content = content.replace(tag, value)
    return content


def _preview(content: dict[str, Any]) -> str:
    for name in ("subject", "title", "text", "body"):
        text = content.get(name)
        if isinstance(text, str) and text:
            return text[:160]
    return ""


class Inbox:
    """Keeps messages; every change gets the next revision of the whole inbox, so "since" finds all changes."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._refused: deque[Message] = deque()
        self._by_id: dict[int, Message] = {}
        self._arrived: dict[str, int] = {}
        self._last_id = 0
        self._kept_bytes = 0
        self.revision = 0
        self.epoch = uuid.uuid4().hex  # another one: forget what you saw, this inbox has begun anew

    def add(self, message: Message) -> Message:
        self._last_id += 1
        message.id = self._last_id
        message.state = "accepted" if message.accepted else "refused"
        self._touch(message)
        self._by_id[message.id] = message
        kept, limit = (self._messages, KEPT_MESSAGES) if message.accepted else (self._refused, KEPT_REFUSALS)
        kept.append(message)
        self._kept_bytes += message.size_bytes
        while len(kept) > limit or (self._kept_bytes > KEPT_BYTES and len(kept) > 1):
            oldest = kept.popleft()
            self._kept_bytes -= oldest.size_bytes
            del self._by_id[oldest.id]
        if message.accepted:
            self._arrived[message.channel] = self._arrived.get(message.channel, 0) + 1
        return message

    def record_step(self, message_id: int, step: str, at: float, *, posted: bool) -> None:
        """A step happened at the provider; its receipt, if one is `posted`, may still wait."""
        message = self._by_id.get(message_id)
        if message is not None:
            message.history.append((step, at, False if posted else None))
            message.state = step
            self._touch(message)

    def record_taken(self, message_id: int, step: str) -> None:
        """The service took the receipt about this step."""
        message = self._by_id.get(message_id)
        if message is not None:
            message.history = [(name, at, True if name == step else taken) for name, at, taken in message.history]
            self._touch(message)

    def find(self, message_id: int) -> Message | None:
        return self._by_id.get(message_id)

    def newest(
        self, *, channel: str = "", recipient: str = "", since: int = 0, refused: bool = False, limit: int = 200
    ) -> list[Message]:
        """The newest messages first that match and changed after revision `since`."""
        wanted = (
            message
            for message in (self._newest_of_both() if refused else reversed(self._messages))
            if message.revision > since
            and (not channel or message.channel == channel)
            and (not recipient or recipient in message.recipient)
        )
        return list(islice(wanted, limit))

    def arrived(self) -> dict[str, int]:
        """How many messages each channel has accepted since the start."""
        return dict(self._arrived)

    def clear(self) -> None:
        self._messages.clear()
        self._refused.clear()
        self._by_id.clear()
        self._kept_bytes = 0
        self._arrived.clear()
        self.epoch = uuid.uuid4().hex
        self.revision += 1

    def _newest_of_both(self) -> Iterator[Message]:
        return iter(sorted([*self._messages, *self._refused], key=lambda message: message.id, reverse=True))

    def _touch(self, message: Message) -> None:
        self.revision += 1
        message.revision = self.revision
