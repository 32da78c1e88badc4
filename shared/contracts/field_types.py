"""The types of fields in requests: what may stand in a line, an id, a time, a piece of JSON.

Channels declare their parts of a request with these, so nothing here knows a channel. Unknown fields are refused, so
that a misspelt option is an error and not a silent default.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

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


def plain(max_length: int) -> StringConstraints:
    """A text of 1 to ``max_length`` characters."""
    return StringConstraints(min_length=1, max_length=max_length)


Label = Annotated[str, plain(128), AfterValidator(_without_control_characters)]
MetadataValue = Annotated[str, plain(256), AfterValidator(_without_control_characters)]
TemplateId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
BodyText = Annotated[str, plain(60_000)]
Instant = Annotated[AwareDatetime, AfterValidator(_storable)]
JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_storable_json)]
Line = Annotated[str, plain(998), AfterValidator(_without_control_characters)]  # RFC 5322 2.1.1: 998 characters


class Inbound(BaseModel):
    """A request, or a part of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False)


class Outbound(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> bytes:
        """The answer as it goes out: camelCase, without what is not known."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()
