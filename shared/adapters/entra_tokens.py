"""Access tokens of Microsoft Entra ID (v2.0), verified against the tenant's published keys.

https://learn.microsoft.com/entra/identity-platform/access-tokens (read 2026-11-24). The local token issuer is the same
code path: only the three settings differ.
"""

import asyncio
import hashlib
import json
import logging
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import jwt

from shared.domain.errors import NotAuthenticated
from shared.domain.identifiers import TenantId
from shared.ports import Caller

logger = logging.getLogger(__name__)

KEYS_FRESH_FOR_SECONDS = 24 * 3600.0
REFRESH_AT_MOST_EVERY_SECONDS = 60.0  # an unknown key id costs one fetch a minute at most, whoever asks how often
FIRST_FETCH_AGAIN_AFTER_SECONDS = 5.0  # without any key nobody can call, so an issuer that was away is asked sooner
CLOCK_SKEW_SECONDS = 60
MAX_TOKEN_LENGTH = 16_384  # longer ones no gateway lets through either
MAX_KEYS_BYTES = 256 * 1024  # of the issuer's answer
MIN_KEY_BITS = 2048
_FETCH_SECONDS = 5
_KEPT_TOKENS = 1000
_KEY_ID = re.compile(r"[A-Za-z0-9_=+/.-]{1,128}")  # looked up among the published names, and nowhere else
_APPLICATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")  # it becomes part of the store's addresses


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
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise NotAuthenticated("the token can't be read")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known and known[1] > time.time():
            return known[0]
        claims = self._claims(token, await self._key_of(token))
        _refuse_ambiguity(token)
        caller = _caller(claims, self._settings.issuer)
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
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise NotAuthenticated("the token can't be read") from error
        if header.get("alg") != "RS256" or "crit" in header:
            raise NotAuthenticated("the token is not signed as ours are")  # before an unknown key costs a fetch
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise NotAuthenticated("the token names no key")
        await self._refresh(key_id)
        if key_id not in self._keys:
            raise NotAuthenticated("the token is signed with an unknown key")
        return self._keys[key_id]

    async def _refresh(self, key_id: str) -> None:
        is_known = key_id in self._keys
        if not self._is_due(key_id) and (is_known or not self._fetching.locked()):
            return  # without the lock: a slow issuer must not hold up those whose key is known
        async with self._fetching:  # those whose key is not known yet wait for the fetch under way
            if not self._is_due(key_id):
                return
            self._tried_at = time.monotonic()
            try:
                published = await self._fetch()
            except (aiohttp.ClientError, TimeoutError, jwt.PyJWTError, ValueError) as error:
                logger.warning("The issuer's keys could not be fetched", extra={"cause": type(error).__name__})
                return  # yesterday's keys are better than none; they are public and rotate slowly
            self._keys = {key.key_id: key for key in published.keys if key.key_id and _may_verify(key)}
            self._fetched_at = time.monotonic()

    def _is_due(self, key_id: str) -> bool:
        now = time.monotonic()
        if key_id in self._keys and now - self._fetched_at < KEYS_FRESH_FOR_SECONDS:
            return False
        pause = REFRESH_AT_MOST_EVERY_SECONDS if self._keys else FIRST_FETCH_AGAIN_AFTER_SECONDS
        return now - self._tried_at >= pause

    async def _fetch(self) -> jwt.PyJWKSet:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._settings.jwks_uri, raise_for_status=True, allow_redirects=False) as answer,
        ):
            if answer.status != HTTPStatus.OK:
                raise ValueError("the issuer sends those who ask for its keys elsewhere")
            published = json.loads(await _bounded(answer.content))
        if not isinstance(published, dict):
            raise ValueError("the issuer's keys are not a JSON object")  # noqa: TRY004 - a bad answer, not a bad argument
        return jwt.PyJWKSet.from_dict(published)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    read = b""
    while part := await content.read(MAX_KEYS_BYTES):
        read += part
        if len(read) > MAX_KEYS_BYTES:
            raise ValueError("the issuer's keys are too large")
    return read


def _may_verify(key: jwt.PyJWK) -> bool:
    """Whether it is a signing key of the kind and size that tokens are signed with."""
    if key.key_type != "RSA" or key.public_key_use not in {None, "sig"}:
        return False
    return bool(key.key.key_size >= MIN_KEY_BITS)


def _refuse_ambiguity(token: str) -> None:
    """Raises NotAuthenticated when the header or the claims have a name twice: others may read the other one."""
    for part in token.split(".")[:2]:
        json.loads(jwt.utils.base64url_decode(part), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise NotAuthenticated("the token says something twice")
    return names


def _caller(claims: dict[str, Any], issuer: str) -> Caller:
    if claims["ver"] != "2.0" or claims.get("idtyp", "app") != "app" or "scp" in claims:
        raise NotAuthenticated("not an application's v2.0 token")  # scp: delegated, on behalf of a person
    if issuer.split("/")[3:4] != [claims["tid"]]:  # https://host/<directory>/v2.0
        raise NotAuthenticated("the token's directory is not its issuer's")
    application, roles = claims["azp"], claims.get("roles", [])
    if not isinstance(application, str) or not _APPLICATION.fullmatch(application):
        raise NotAuthenticated("azp is not an application's id")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise NotAuthenticated("roles is not a list of names")
    # Every consuming application is a tenant of its own until a directory says otherwise.
    return Caller(TenantId(application), application, frozenset(roles))
