"""pydantic's complaints as JSON pointers (RFC 6901) into the request body."""

from pydantic import ValidationError

from shared.domain.errors import MAX_FIELD_ERRORS, FieldError, pointer_token


def field_errors(error: ValidationError) -> list[FieldError]:
    """One entry per wrong field; the value itself is never repeated."""
    return [
        FieldError(pointer_to(details["loc"]), _detail(details["type"], details["msg"]))
        for details in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FIELD_ERRORS]
    ]


def pointer_to(location: tuple[int | str, ...]) -> str:
    """The JSON pointer of a location; the empty pointer is the whole body."""
    return "".join(pointer_token(part) for part in location if part != "[key]")


def _detail(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a field of this request"
    if kind == "missing":
        return "is required"
    return message.removeprefix("Value error, ")
