"""Every error this service raises on purpose, as one tree.

A class exists only where some caller acts on it differently::

    CnsError
    ├── InvalidSubmission        the consumer must change the request                (4xx, with JSON pointers)
    ├── NotAuthenticated         no, or no acceptable, credential                    (401)
    ├── NotAuthorised            the credential lacks the role                       (403)
    ├── NotFound                 no such thing in the caller's tenant                (404)
    ├── MethodNotAllowed         the resource has other methods                      (405, with Allow)
    ├── Conflict                 someone else changed it, or it is being worked on   (409)
    ├── VersionChanged           the resource is no longer what the caller read      (412)
    ├── KeyReused                idempotency key used before with another body       (422)
    ├── TooManyRequests          not now; the caller may repeat after ``retry_after``   (429)
    │   ├── Overloaded           the service sheds what is less urgent than what it does
    │   └── RateExceeded         the tenant asks for more than its policy or its share allows
    ├── StoreUnavailable         the tracking store did not take the write           (503)
    ├── PublishFailed            the broker did not take the message                 (redeliver, or sweep)
    ├── DestinationRefused       a URL points where we never connect to              (422, or a failed send)
    ├── ProviderError            one provider call did not succeed
    │   ├── Transient            try again later
    │   ├── Throttled            the provider asks us to slow down; pacing, not failure
    │   ├── Rejected             this message will never be accepted (``elsewhere``: not by this provider)
    │   ├── Misconfigured        our account or settings are wrong; no message will be accepted
    │   ├── Untried              the call was refused for another message's sake; this one goes again, alone
    │   ├── PutOff               we decided to send it later; the provider was not asked
    │   ├── Withheld             we decided not to send it, at the last moment
    │   └── InDoubt              the provider may have accepted; the answer was never seen
    ├── TemplateUnusable         the template can't be rendered with this data
    └── ReceiptNotAuthentic      a receipt's signature does not hold                 (401)
"""

from dataclasses import dataclass
from datetime import timedelta


class CnsError(Exception):
    """Base of all errors raised on purpose."""


MAX_FIELD_ERRORS = 50  # an answer names so many at most


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a request: where (RFC 6901 JSON pointer) and what."""

    pointer: str
    detail: str


def pointer_token(part: int | str) -> str:
    """One part of a JSON pointer (RFC 6901, 3), with the slash before it."""
    return f"/{str(part).replace('~', '~0').replace('/', '~1')}"


class InvalidSubmission(CnsError):
    """The request can't be accepted as it is; ``errors`` names each field."""

    def __init__(self, errors: list[FieldError], *, status: int = 422) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in errors))
        self.errors = errors
        self.status = status


class NotAuthenticated(CnsError):
    """The request carries no credential that can be trusted."""


class NotAuthorised(CnsError):
    """The caller is known and may not do this."""


class NotFound(CnsError):
    """There is no such resource in the caller's tenant."""


class MethodNotAllowed(CnsError):
    """The resource is there and doesn't take this method; ``methods`` are those it takes."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        super().__init__(f"the methods are {', '.join(methods)}")
        self.methods = methods


class Conflict(CnsError):
    """The resource is changed or worked on by another request; ``retry_after`` says when to look again."""

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class VersionChanged(CnsError):
    """The resource was changed after the caller read it; who reads it again may decide again."""


class KeyReused(CnsError):
    """An idempotency key came back with a different body."""


class TooManyRequests(CnsError):
    """Nothing was accepted, and nothing is wrong with the request; ``retry_after`` is an estimate."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(TooManyRequests):
    """The service has more to do than it can do in time, and takes nothing more of this priority."""


class RateExceeded(TooManyRequests):
    """The tenant has used up what it may ask for; ``per_second`` or ``per_day`` where that is a fixed number."""

    def __init__(
        self, message: str, *, retry_after: timedelta, per_second: float | None = None, per_day: int | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.per_second = per_second
        self.per_day = per_day


class StoreUnavailable(CnsError):
    """The tracking store did not commit; nothing happened and the caller may repeat the request."""


class PublishFailed(CnsError):
    """The broker did not take a message; what it announced is safe in the store."""


class DestinationRefused(CnsError):
    """A destination URL is not one this service connects to (scheme, host or network)."""


class ProviderError(CnsError):
    """One provider call did not succeed. ``reason`` is a stable code, safe to log and to show."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Transient(ProviderError):
    """The provider could not take the message now; the same message may succeed later."""


class Throttled(ProviderError):
    """The provider asks for a slower pace; ``retry_after`` is its own word on when."""


class Rejected(ProviderError):
    """The provider will never take this message; ``elsewhere``: another provider may, since only this one can't."""

    def __init__(self, reason: str, *, retry_after: timedelta | None = None, elsewhere: bool = False) -> None:
        super().__init__(reason, retry_after=retry_after)
        self.elsewhere = elsewhere


class Misconfigured(ProviderError):
    """The provider refuses our account or settings, whatever the message."""


class Untried(ProviderError):
    """The call was refused because of another message in it: nothing was taken, and nothing said about this one."""


class PutOff(ProviderError):
    """The provider was not called: the customer must not be disturbed before ``retry_after`` has passed."""


class Withheld(ProviderError):
    """The provider was not called: what was accepted must not be sent any more."""


class InDoubt(ProviderError):
    """Bytes left for the provider and no answer came back: it may have accepted."""


class TemplateUnusable(CnsError):
    """The template and the data do not fit together."""


class ReceiptNotAuthentic(CnsError):
    """A receipt is not signed by the provider it claims to come from."""
