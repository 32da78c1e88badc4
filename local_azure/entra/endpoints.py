"""The issuer's HTTP side: discovery document, keys, and the token endpoint (client credentials only).

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (read 2026-11): error codes are
Entra's, their texts are shortened.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

from local_azure.entra.clients import Client, find_client, read_clients
from local_azure.entra.identities import AUDIENCE, ROLES, TENANT_ID
from local_azure.entra.signing_keys import SigningKeys
from local_azure.entra.tokens import DEFAULT_LIFETIME_SECONDS, issue_token, issuer
from local_azure.provider_sandbox.http_exchange import Reply, Request, json_reply, problem

_PATH = re.compile(
    r"/(?P<tenant>[^/]+)/(?P<what>v2\.0/\.well-known/openid-configuration|discovery/v2\.0/keys|oauth2/v2\.0/token)"
)
_SCOPE = f"{AUDIENCE}/.default"


class Endpoints:
    """Answers OAuth clients and token verifiers. Keys and clients are read anew, so a rotation shows at once."""

    def __init__(self, data: Path, port: int) -> None:
        self._data, self._port = data, port
        self._keys = SigningKeys(data)
        self._keys.published()
        read_clients(data)

    async def route(self, request: Request) -> Reply | None:
        if request.path == "/health":
            return json_reply({"status": "ok"})
        path = _PATH.fullmatch(request.path)
        if path is None:
            return problem(404, "nothing is played at this address")
        if path["tenant"].lower() != TENANT_ID:
            return _refuse(400, "invalid_request", 90002, f"Tenant '{path['tenant']}' not found.")
        if path["what"] == "oauth2/v2.0/token":
            return self._token(request)
        if request.method != "GET":
            return problem(405, "only GET")
        return json_reply(self._discovery() if "well-known" in path["what"] else self._jwks())

    def _discovery(self) -> dict[str, object]:
        base = f"http://127.0.0.1:{self._port}/{TENANT_ID}"
        return {
            "issuer": issuer(self._port),
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "response_types_supported": ["token"],
            "grant_types_supported": ["client_credentials"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": [_SCOPE],
            "claims_supported": [
                "aud",
                "iss",
                "iat",
                "nbf",
                "exp",
                "azp",
                "oid",
                "sub",
                "tid",
                "roles",
                "idtyp",
                "ver",
            ],
        }

    def _jwks(self) -> dict[str, object]:
        return {"keys": [{**key.as_jwk(), "issuer": issuer(self._port)} for key in self._keys.published()]}

    def _token(self, request: Request) -> Reply:
        if request.method != "POST":
            return problem(405, "only POST")
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials":
            return _refuse(400, "unsupported_grant_type", 70003, "Only client_credentials is played here.")
        client_id, secret = _credentials(request, form)
        client = find_client(read_clients(self._data), client_id)
        if client is None or client.client_id != client_id:
            return _refuse(401, "unauthorized_client", 700016, f"Application '{client_id}' was not found.")
        if not client.accepts(secret):
            return _refuse(401, "invalid_client", 7000215, "Invalid client secret provided.")
        if form.get("scope") != _SCOPE:
            return _refuse(400, "invalid_scope", 70011, f"The scope must be {_SCOPE}.")
        return self._grant(client)

    def _grant(self, client: Client) -> Reply:
        roles = [role for role in client.roles if role in ROLES]
        token = issue_token(self._keys.current(), port=self._port, client_id=client.client_id, roles=roles)
        lifetime = DEFAULT_LIFETIME_SECONDS
        answer = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
        return json_reply(answer, headers=[("Cache-Control", "no-store"), ("Pragma", "no-cache")])


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    header = request.headers.get("authorization", "")
    if not header.startswith("Basic "):
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        user, _, secret = base64.b64decode(header.removeprefix("Basic "), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(user), unquote_plus(secret)


def _refuse(status: int, error: str, code: int, description: str) -> Reply:
    trace_id, now = str(uuid.uuid4()), datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    answer = {
        "error": error,
        "error_description": f"AADSTS{code}: {description} Trace ID: {trace_id} Timestamp: {now}",
        "error_codes": [code],
        "timestamp": now,
        "trace_id": trace_id,
    }
    return json_reply(answer, status, [("Cache-Control", "no-store")])
