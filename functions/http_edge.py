"""What every HTTP trigger shares: who calls, and errors as problem documents (RFC 9457)."""

import functools
import json
import logging
import re
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from math import ceil
from typing import ParamSpec

import azure.functions as func

from shared.bootstrap import services
from shared.contracts.http_api import MAX_WAIT
from shared.contracts.problem import CONTENT_TYPE, problem_of
from shared.domain.api_key import PREFIX
from shared.domain.errors import (
    CnsError,
    Conflict,
    FieldError,
    InvalidSubmission,
    MethodNotAllowed,
    NotAuthenticated,
    NotAuthorised,
    PublishFailed,
    RateExceeded,
    StoreUnavailable,
    TooManyRequests,
)
from shared.domain.gateway_proof import HEADER
from shared.pipeline.limits_told import limits_exceeded
from shared.pipeline.submit import SubmitRequest, key_of_test
from shared.ports import Caller

logger = logging.getLogger(__name__)

_P = ParamSpec("_P")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_STORE_RETRY_AFTER = timedelta(seconds=2)
SAYS_NOTHING = "application/octet-stream"  # what a body is assumed to be anyway (RFC 9110, 8.3)
JSON_TYPES = ("application/json", "application/merge-patch+json")


def problems_as_json(
    trigger: Callable[_P, Awaitable[func.HttpResponse]],
) -> Callable[_P, Awaitable[func.HttpResponse]]:
    """Answers errors with problem documents; an error nobody raised on purpose is logged and told without detail."""

    @functools.wraps(trigger)
    async def guarded(*args: _P.args, **kwargs: _P.kwargs) -> func.HttpResponse:
        try:
            return await trigger(*args, **kwargs)
        except PublishFailed:
            return _problem(StoreUnavailable("the broker is away"))
        except CnsError as error:
            return _problem(error)
        except Exception as error:
            logger.exception("Unexpected failure")
            return _problem(error)

    return guarded


def _problem(error: Exception) -> func.HttpResponse:
    problem = problem_of(error)
    headers = {}
    if isinstance(error, StoreUnavailable):
        headers["Retry-After"] = str(int(_STORE_RETRY_AFTER.total_seconds()))
    if isinstance(error, Conflict | TooManyRequests):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after.total_seconds())))
    if isinstance(error, RateExceeded):
        headers |= limits_exceeded(error, headers["Retry-After"])
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.methods)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return func.HttpResponse(json.dumps(problem), status_code=problem["status"], mimetype=CONTENT_TYPE, headers=headers)


async def caller_with(role: str, req: func.HttpRequest, takes: Collection[str] = JSON_TYPES) -> Caller:
    """The caller, who has ``role`` and sends what the operation takes: JSON, or any of ``takes``.

    Raises NotAuthenticated, NotAuthorised, InvalidSubmission (415).
    """
    if not services().gateway.admits(req.headers.get(HEADER)):
        raise NotAuthenticated("the request did not come through the gateway")
    credential = _credential(req)
    verifier = services().known_keys if credential.startswith(PREFIX) else services().tokens
    caller = await verifier.verify(credential)
    if role not in caller.roles:
        raise NotAuthorised(f"the role {role} is required")
    _check_media_type(req, takes)
    return caller


def _credential(req: func.HttpRequest) -> str:
    """The token or API key that was sent. Raises NotAuthenticated: none, or two."""
    authorization: str | None = req.headers.get("authorization")
    key: str = req.headers.get("x-api-key", "").strip()
    if authorization is None and key.startswith(PREFIX):
        return key
    scheme, _, credential = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip() or key:
        raise NotAuthenticated("a bearer token or an API key is required")
    return credential.strip()


def _check_media_type(req: func.HttpRequest, takes: Collection[str]) -> None:
    """Nothing when the body is what it is taken for, or nothing is said of it. Raises InvalidSubmission (415)."""
    media_type = req.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type != SAYS_NOTHING and media_type not in takes and req.get_body():
        detail = f"Content-Type must be {' or '.join(takes)}"
        raise InvalidSubmission([FieldError("", detail)], status=415)


def submit_request(req: func.HttpRequest, caller: Caller) -> SubmitRequest:
    """The parts of a submission that are not its meaning. Raises InvalidSubmission."""
    key = req.headers.get("idempotency-key", req.headers.get("x-idempotency-key"))
    return SubmitRequest(
        body=req.get_body(),
        idempotency_key=key_of_test(key) if key is not None and caller.is_test else key,
        wait=_wait(req.headers.get("prefer")),
        traceparent=_trace(req.headers.get("traceparent")),
    )


def _trace(traceparent: str | None) -> str | None:
    """The caller's trace context (https://www.w3.org/TR/trace-context); what is none is dropped, as that page says."""
    return traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None


def _wait(prefer: str | None) -> timedelta | None:
    """The patience in a Prefer header (RFC 7240), at most MAX_WAIT; preferences we don't know are ignored."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() != "wait":
            continue
        seconds = value.partition(";")[0].strip().strip('"')  # a value may be quoted, and parameters may follow
        if not (seconds.isascii() and seconds.isdecimal()):
            raise InvalidSubmission([FieldError("", "Prefer: wait must be a number of seconds")], status=400)
        return min(timedelta(seconds=int(seconds[:9])), MAX_WAIT) or None
    return None


def json_answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> func.HttpResponse:
    """A JSON answer."""
    return func.HttpResponse(body, status_code=status, mimetype="application/json", headers=headers)
