"""Errors as problem documents (RFC 9457): one table from our errors to HTTP."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.domain.errors import (
    CnsError,
    Conflict,
    DestinationRefused,
    InvalidSubmission,
    KeyReused,
    MethodNotAllowed,
    NotAuthenticated,
    NotAuthorised,
    NotFound,
    Overloaded,
    RateExceeded,
    ReceiptNotAuthentic,
    StoreUnavailable,
    VersionChanged,
)

CONTENT_TYPE = "application/problem+json"
_TYPE_BASE = "https://cns.example/problems/"

# error → (status, name of the type, title). The most specific class wins; what is not here is a fault of ours.
_TABLE: dict[type[CnsError], tuple[int, str, str]] = {
    InvalidSubmission: (422, "invalid-request", "The request can't be accepted"),
    NotAuthenticated: (401, "not-authenticated", "No acceptable credential"),
    NotAuthorised: (403, "not-authorised", "The caller may not do this"),
    NotFound: (404, "not-found", "There is no such resource"),
    MethodNotAllowed: (405, "method-not-allowed", "The resource has no such method"),
    Conflict: (409, "in-progress", "Another request is working on this"),
    VersionChanged: (412, "version-changed", "The resource was changed after it was read"),
    KeyReused: (422, "idempotency-key-reused", "The idempotency key was used with another body"),
    DestinationRefused: (422, "destination-refused", "The destination is not one this service connects to"),
    Overloaded: (429, "overloaded", "The service takes nothing more of this priority now; repeat it later"),
    RateExceeded: (429, "rate-exceeded", "The caller asks for more than it may; repeat it later"),
    StoreUnavailable: (503, "unavailable", "The service can't take the request now; repeat it later"),
    ReceiptNotAuthentic: (401, "receipt-not-authentic", "The receipt's signature does not hold"),
}
_FAULT = (500, "fault", "The service failed")

Problem = dict[str, Any]


class FieldProblem(BaseModel):
    """One thing wrong with a request: where (RFC 6901 JSON pointer) and what."""

    pointer: str
    detail: str


class ProblemDocument(BaseModel):
    """Why a request was refused (RFC 9457). ``type`` is stable and meant for programs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": _TYPE_BASE + "invalid-request",
                    "title": "The request can't be accepted",
                    "status": 422,
                    "detail": "/recipient/email: is required for channel email",
                    "errors": [{"pointer": "/recipient/email", "detail": "is required for channel email"}],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    errors: list[FieldProblem] | None = None


def problem_of(error: Exception, instance: str | None = None) -> Problem:
    """The problem document of ``error``. What we did not raise on purpose is told without detail."""
    status, name, title = next((_TABLE[cls] for cls in type(error).__mro__ if cls in _TABLE), _FAULT)
    if isinstance(error, InvalidSubmission):
        status = error.status
    problem: Problem = {"type": _TYPE_BASE + name, "title": title, "status": status}
    if isinstance(error, InvalidSubmission):
        problem["errors"] = [{"pointer": each.pointer, "detail": each.detail} for each in error.errors]
        problem["detail"] = str(error)
    elif status not in {500, 503, 404, 401}:
        problem["detail"] = str(error)
    if instance:
        problem["instance"] = instance
    return problem
