"""The parameters of a URL's query, read like a request's body: unknown ones are refused, all that is wrong is named."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, StringConstraints, ValidationError

from shared.contracts.field_errors import field_errors
from shared.domain.errors import FieldError, InvalidSubmission
from shared.domain.harmful_text import DETAIL, is_harmful

MAX_CURSOR_LENGTH = 2000

Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=-]+$", max_length=MAX_CURSOR_LENGTH)]
TenantName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]

Query = TypeVar("Query", bound=BaseModel)


def read_query(model: type[Query], parameters: Mapping[str, str]) -> Query:
    """The query as ``model``. Raises InvalidSubmission, with a pointer ``/name`` for each parameter that is wrong."""
    harmful = [FieldError(f"/{name}", DETAIL) for name, value in parameters.items() if is_harmful(value)]
    if harmful:
        raise InvalidSubmission(harmful)
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        raise InvalidSubmission(field_errors(error)) from error
