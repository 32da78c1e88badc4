"""Access tokens of a Google service account: takes its key, gives a bearer token that is valid for some minutes more.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest (read 2026-11-25): a JWT signed with
the account's key (RS256) is exchanged for an access token, which is kept until shortly before its end. However many
sends need one at the same time, one request is made.

Unverified against the real service: that a token is refused with 400 or 401 only when the account or its key is wrong.
"""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Throttled, Transient
from shared.ports import HttpAnswer, HttpClient
from shared.providers.provider_answer import Failure, failure_of, is_success, json_object

CALL_TIMEOUT = timedelta(seconds=15)
LIFETIME = timedelta(hours=1)  # the most that Google grants
RENEWAL = timedelta(minutes=5)  # before the end, so that a renewal may fail for a while
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FORM = {"content-type": "application/x-www-form-urlencoded"}

STATUSES: Mapping[int, Failure] = {
    400: (Misconfigured, "authentication_failed"),
    401: (Misconfigured, "authentication_failed"),
    403: (Misconfigured, "authentication_failed"),
    404: (Misconfigured, "token_endpoint_not_found"),
    429: (Throttled, "too_many_requests"),
}


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account's key, as Google hands it out."""

    project_id: str
    email: str
    key_id: str
    audience: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def of_json(cls, setting: str, text: str) -> "ServiceAccount":
        """The account in a key file's JSON.

        Raises:
            ValueError: it is no such file; names ``setting``, shows nothing of it.
        """
        try:
            document = orjson.loads(text)
            key = load_pem_private_key(document["private_key"].encode(), password=None)
            names = ("project_id", "client_email", "private_key_id", "token_uri")
            project_id, email, key_id, audience = (str(document[name]) for name in names)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{setting} is not a service account's key in JSON: {type(error).__name__}") from None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError(f"{setting} holds a key that is not RSA")  # noqa: TRY004 - the setting's value is wrong
        return cls(project_id, email, key_id, audience, key)


class AccessTokens:
    """The tokens of one account for one scope."""

    def __init__(
        self, account: ServiceAccount, url: str, scope: str, http: HttpClient, now: Callable[[], datetime]
    ) -> None:
        self._account, self._url, self._scope = account, url, scope
        self._http, self._now = http, now
        self._token = ""
        self._ends_at = datetime.min.replace(tzinfo=UTC)
        self._fetching: asyncio.Task[str] | None = None

    async def token(self) -> str:
        """A valid token. Raises Transient, Throttled or Misconfigured when there is none; nothing was sent then."""
        now = self._now()
        if now + RENEWAL < self._ends_at:
            return self._token
        if self._fetching is None or self._fetching.done():
            # In a context of its own: a token is no message, so no limit on messages is asked for it, and what one
            # caller is bounded by must not bound the others.
            self._fetching = asyncio.create_task(self._fetch(), context=contextvars.Context())
            self._fetching.add_done_callback(_note_failure)
        try:
            return await asyncio.shield(self._fetching)
        except ProviderError:
            if now < self._ends_at:
                return self._token
            raise

    def forget(self, token: str) -> None:
        """The token was refused: the next one who needs a token gets another."""
        if token == self._token:
            self._ends_at = datetime.min.replace(tzinfo=UTC)

    async def _fetch(self) -> str:
        now = self._now()
        body = urlencode({"grant_type": _GRANT, "assertion": self._assertion(now)}).encode()
        try:
            answer = await self._http.post(self._url, headers=_FORM, body=body, timeout=CALL_TIMEOUT)
        except InDoubt as error:
            raise Transient("token_unavailable") from error  # a token too many harms nobody
        self._token, lifetime = _granted(answer, now)
        self._ends_at = now + lifetime
        return self._token

    def _assertion(self, now: datetime) -> str:
        claims: dict[str, Any] = {
            "iss": self._account.email,
            "scope": self._scope,
            "aud": self._account.audience,
            "iat": now,
            "exp": now + LIFETIME,
        }
        return jwt.encode(claims, self._account.key, algorithm="RS256", headers={"kid": self._account.key_id})


def _granted(answer: HttpAnswer, now: datetime) -> tuple[str, timedelta]:
    if not is_success(answer):
        raise failure_of("google", STATUSES, answer, now)
    document = json_object(answer.body)
    token, seconds = document.get("access_token"), document.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
        raise Transient("token_unavailable")
    return token, min(timedelta(seconds=seconds), LIFETIME)


def _note_failure(task: asyncio.Task[str]) -> None:
    """Everybody who waited for the token may be gone; whoever is not hears of the failure."""
    if not task.cancelled():
        task.exception()
