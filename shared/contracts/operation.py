"""What is said of one operation of the HTTP API; operations.py has the table of all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; ``place`` is path, query or header."""

    name: str
    place: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})

    def to_openapi(self) -> dict[str, Any]:
        """The parameter object."""
        return {
            "name": self.name,
            "in": self.place,
            "description": self.description,
            "required": self.place == "path",
            "schema": dict(self.schema),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """One status an operation may answer when nothing is wrong."""

    description: str
    model: type[BaseModel] | Schema | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        function: the name of the function that serves it, and the operation's id.
        path: without the prefix ``/api``.
        role: the app role the caller needs; None where a signature is the credential, or none is needed.
        problems: the statuses it may refuse with, beside 500, which any may.
    """

    function: str
    method: str
    path: str
    summary: str
    role: str | None
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    request: type[BaseModel] | Schema | None = None
    parameters: tuple[Parameter, ...] = ()
    tag: str = "Notifications"


IF_MATCH = Parameter("If-Match", "header", "The ETag of the version that is replaced.")
IF_NONE_MATCH = Parameter("If-None-Match", "header", "`*`: only when there is none yet.")
ETAG = {"ETag": "The version, for If-Match."}
