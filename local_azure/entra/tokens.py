"""Takes a client and roles, gives an application access token as Entra ID's v2.0 endpoint issues it.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference (read 2026-11). One difference: Entra
puts the API's client id into a v2 token's `aud`; here it is the identifier URI. The app compares with a setting.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import jwt

from local_azure.entra.identities import AUDIENCE, TENANT_ID
from local_azure.entra.signing_keys import SigningKey

DEFAULT_LIFETIME_SECONDS = 3600


def issuer(port: int) -> str:
    return f"http://127.0.0.1:{port}/{TENANT_ID}/v2.0"


def object_id(client_id: str) -> str:
    """The service principal's id: another GUID than the application's, always the same for it."""
    return str(uuid.uuid5(uuid.UUID(TENANT_ID), client_id))


def issue_token(
    key: SigningKey,
    *,
    port: int,
    client_id: str,
    roles: Sequence[str],
    lifetime_seconds: int = DEFAULT_LIFETIME_SECONDS,
    now: float | None = None,
) -> str:
    """A signed JWT. A negative lifetime makes an expired one, for tests of the refusal."""
    issued_at = int(time.time() if now is None else now)
    principal = object_id(client_id)
    claims = {
        "aud": AUDIENCE,
        "iss": issuer(port),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + lifetime_seconds,
        "azp": client_id,
        "azpacr": "1",
        "idtyp": "app",
        "oid": principal,
        "roles": list(roles),
        "sub": principal,
        "tid": TENANT_ID,
        "uti": uuid.uuid4().hex,
        "ver": "2.0",
    }
    return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})
