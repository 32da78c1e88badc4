"""A request's body read as a model; what is wrong with it is named, each with its JSON pointer."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.contracts.field_errors import field_errors
from shared.domain.errors import FieldError, InvalidSubmission

Body = TypeVar("Body", bound=BaseModel)


def read_body(model: type[Body], body: bytes, max_bytes: int | None = None) -> Body:
    """The body as ``model``. Raises InvalidSubmission: status 413 above ``max_bytes``, else 422."""
    if max_bytes is not None and len(body) > max_bytes:
        raise InvalidSubmission([FieldError("", f"is larger than {max_bytes} bytes")], status=413)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise InvalidSubmission(field_errors(error)) from error
