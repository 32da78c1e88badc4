"""Pigeons: a loft, and a note of at most forty characters. What shared/channels/pigeon.py would be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from shared.contracts.field_types import Inbound, plain
from shared.domain.address import Address
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content
from shared.domain.notification import JsonValue


@dataclass(frozen=True, slots=True)
class Loft(Address):
    """Where the pigeon lives."""

    country: str
    number: int

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"country": self.country, "number": self.number}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "Loft":
        """What ``stored`` gave."""
        return cls(document["country"], document["number"])


@dataclass(frozen=True, slots=True)
class Note(Content):
    """What is tied to the leg."""

    words: tuple[str, ...]

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"words": list(self.words)}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "Note":
        """What ``stored`` gave."""
        return cls(tuple(document["words"]))


class NoteModel(Inbound):
    """A literal note."""

    words: list[Annotated[str, plain(10)]]

    def to_content(self) -> Note:
        """The note."""
        return Note(tuple(self.words))


class LoftModel(Inbound):
    """A loft, as a request writes it."""

    country: Annotated[str, plain(2)]
    loft_number: int


def _address(recipient: Recipient) -> Loft:
    written: LoftModel | None = recipient.written.get("home_loft")
    if written is None:
        raise AddressProblem("/recipient/homeLoft", "is required for channel pigeon")
    return Loft(written.country, written.loft_number)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> Note:
    return Note(tuple(parts["sms.txt"].split()))


def _refuses(content: Content) -> str | None:
    return "the note is empty" if isinstance(content, Note) and not content.words else None


PIGEON = Channel(
    name="pigeon",
    max_attempts=2,
    parts=("sms.txt",),
    required_parts=("sms.txt",),
    recipient={"home_loft": LoftModel},
    address=_address,
    restore_address=Loft.restored,
    literal=NoteModel,
    from_literal=NoteModel.to_content,
    compose=_compose,
    restore_content=Note.restored,
    refuses=_refuses,
)
