"""Access tokens of Microsoft Entra ID (v2.0), verified against the tenant's published keys.

https://learn.microsoft.com/entra/identity-platform/access-tokens (read 2026-11-24). The local token issuer is the same
code path: only the three settings differ.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt

from shared.domain.errors import NotAuthenticated
from shared.domain.identifiers import TenantId
from shared.ports import Caller

KEYS_FRESH_FOR_SECONDS = 24 * 3600.0
REFRESH_AT_MOST_EVERY_SECONDS = 60.0  # an unknown key id costs one fetch a minute at most, whoever asks how often
CLOCK_SKEW_SECONDS = 60
_FETCH_SECONDS = 5
_KEPT_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class EntraSettings:
    """Whose tokens are accepted."""

    issuer: str
    audience: str
    jwks_uri: str


class EntraTokens:
    """TokenVerifier over Entra ID. A token verified once is known until it expires."""

    def __init__(self, settings: EntraSettings) -> None:
        self._settings = settings
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known and known[1] > time.time():
            return known[0]
        claims = self._claims(token, await self._key_of(token))
        caller = _caller(claims)
        self._known[digest] = (caller, float(claims["exp"]))
        if len(self._known) > _KEPT_TOKENS:
            self._known.popitem(last=False)
        return caller

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=["RS256"],  # never what the token itself proposes
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "nbf", "iat", "iss", "aud", "tid", "azp", "ver"]},
            )
        except jwt.PyJWTError as error:
            raise NotAuthenticated(type(error).__name__) from error

    async def _key_of(self, token: str) -> jwt.PyJWK:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError as error:
            raise NotAuthenticated("the token can't be read") from error
        if not isinstance(key_id, str):
            raise NotAuthenticated("the token names no key")
        await self._refresh(key_id)
        if key_id not in self._keys:
            raise NotAuthenticated("the token is signed with an unknown key")
        return self._keys[key_id]

    async def _refresh(self, key_id: str) -> None:
        async with self._fetching:
            age = time.monotonic() - self._fetched_at
            if age < REFRESH_AT_MOST_EVERY_SECONDS or (key_id in self._keys and age < KEYS_FRESH_FOR_SECONDS):
                return
            try:
                timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
                async with (
                    aiohttp.ClientSession(timeout=timeout) as session,
                    session.get(self._settings.jwks_uri, raise_for_status=True) as answer,
                ):
                    published = jwt.PyJWKSet.from_dict(await answer.json(content_type=None))
            except (aiohttp.ClientError, TimeoutError, jwt.PyJWTError, ValueError) as error:
                if self._keys:
                    return  # yesterday's keys are better than none; they are public and rotate slowly
                raise NotAuthenticated("the issuer's keys can't be fetched") from error
            self._keys = {key.key_id: key for key in published.keys if key.key_id}
            self._fetched_at = time.monotonic()


def _caller(claims: dict[str, Any]) -> Caller:
    if claims["ver"] != "2.0" or claims.get("idtyp", "app") != "app":
        raise NotAuthenticated("not an application's v2.0 token")
    roles = claims.get("roles", [])
    if not isinstance(roles, list):
        raise NotAuthenticated("roles is not a list")
    # Every consuming application is a tenant of its own until a directory says otherwise.
    return Caller(TenantId(str(claims["azp"])), str(claims["azp"]), frozenset(map(str, roles)))
