"""Instants as the protocol writes them: ISO 8601 in UTC with microseconds and a Z, which also sort as text."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)


def to_text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """The instant; one without an offset is taken as UTC.

    Raises:
        ValueError: The text is no ISO 8601 instant.
    """
    parsed = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
