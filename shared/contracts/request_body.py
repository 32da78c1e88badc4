"""A request's body read as a model; what is wrong with it is named, each with its JSON pointer."""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from shared.contracts.field_errors import field_errors
from shared.domain.errors import FieldError, InvalidSubmission
from shared.domain.harmful_text import harmful_fields, is_suspect

Body = TypeVar("Body", bound=BaseModel)


def read_body(model: type[Body], body: bytes, max_bytes: int | None = None) -> Body:
    """The body as ``model``. Raises InvalidSubmission: status 413 above ``max_bytes``, else 422."""
    if max_bytes is not None and len(body) > max_bytes:
        raise InvalidSubmission([FieldError("", f"is larger than {max_bytes} bytes")], status=413)
    harmful = _harmful(body) if is_suspect(body) else []
    try:
        read = model.model_validate_json(body)
    except ValidationError as error:
        wrong = field_errors(error)
        named = {each.pointer for each in wrong}
        raise InvalidSubmission(wrong + [each for each in harmful if each.pointer not in named]) from error
    if harmful:
        raise InvalidSubmission(harmful)
    return read


def _harmful(body: bytes) -> list[FieldError]:
    try:
        return harmful_fields(orjson.loads(body))
    except orjson.JSONDecodeError:
        return []  # the model says what is wrong with it
