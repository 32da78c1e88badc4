"""Reads the answer of a provider's HTTP API: what failed, and when to try again.

Each provider brings its own table of statuses; what is in no table is decided here, the same for all of them.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import orjson

from shared.domain.errors import Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.domain.retry_schedule import wait_asked_for
from shared.ports import HttpAnswer

Failure = tuple[type[ProviderError], str]

# What speaks of one provider's account or network only: another provider may well carry the same message.
ONLY_HERE = frozenset(
    {"country_not_enabled", "unreachable_from_sender", "suppressed_by_provider", "blocked_by_provider"}
)

LONGEST_RETRY_AFTER = timedelta(hours=1)  # a wilder wish is a mistake; pacing asks again anyway

_logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """This instant; the clock of a provider that was given no other."""
    return datetime.now(UTC)


def is_success(answer: HttpAnswer) -> bool:
    """Whether the status is 2xx."""
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


def failure_of(provider: str, table: Mapping[int, Failure], answer: HttpAnswer, now: datetime) -> ProviderError:
    """The error that an answer other than 2xx stands for, by the provider's table or by the class of its status."""
    return error_of(table.get(answer.status) or _unlisted(provider, answer.status), retry_after(answer.headers, now))


def error_of(failure: Failure, wait: timedelta | None = None) -> ProviderError:
    """The error that one line of a table stands for."""
    kind, reason = failure
    if issubclass(kind, Rejected):
        return kind(reason, retry_after=wait, elsewhere=reason in ONLY_HERE)
    return kind(reason, retry_after=wait)


def _unlisted(provider: str, status: int) -> Failure:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Transient, "provider_unavailable"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled, "too_many_requests"
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Transient, "provider_unavailable"
    _logger.warning("provider answered with an unlisted status", extra={"provider": provider, "code": status})
    if status < HTTPStatus.BAD_REQUEST:
        return Misconfigured, "unexpected_redirect"
    return Rejected, f"http_{status}"


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The wait that ``Retry-After`` asks for, 0 to 1 hour; None without one."""
    asked = wait_asked_for(headers, now)
    return None if asked is None else bounded(asked)


def bounded(wait: timedelta) -> timedelta:
    """``wait``, or the nearest of 0 and 1 hour."""
    return max(timedelta(0), min(wait, LONGEST_RETRY_AFTER))


def json_object(body: bytes) -> Mapping[str, object]:
    """The JSON object that ``body`` is; empty when it is anything else."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
