"""Takes an Authorization header and the request's path, says whether it is a valid Shared Access Signature.

https://learn.microsoft.com/rest/api/eventhub/generate-sas-token (read 2026-11): the signature is HMAC-SHA256, keyed
with the text of the key, over the URL-encoded resource, a line feed and the expiry.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from local_azure.provider_sandbox.settings import HubConnection

_SCHEME = "SharedAccessSignature "
_REMEMBERED_TOKENS = 256


class SasTokens:
    """Checks tokens of one key; verified ones are remembered, since clients use each for an hour."""

    def __init__(self, connection: HubConnection, clock: Callable[[], float] = time.time) -> None:
        self._connection, self._clock = connection, clock
        self._verified: dict[str, tuple[str, int]] = {}

    def flaw(self, header: str, path: str) -> str | None:
        """None when the token opens `path`, else what is wrong with it."""
        known = self._verified.get(header)
        if known is None:
            parsed = self._verify(header)
            if isinstance(parsed, str):
                return parsed
            if len(self._verified) >= _REMEMBERED_TOKENS:
                self._verified.clear()
            known = self._verified[header] = parsed
        scope, expires_at = known
        if expires_at < self._clock():
            return "ExpiredToken"
        return None if (path.lower().rstrip("/") + "/").startswith(scope) else "InvalidAudience"

    def _verify(self, header: str) -> tuple[str, int] | str:
        if not header.startswith(_SCHEME):
            return "MissingToken"
        fields = dict(part.split("=", 1) for part in header.removeprefix(_SCHEME).split("&") if "=" in part)
        if not fields.keys() >= {"sr", "sig", "se", "skn"} or not fields["se"].isdigit():
            return "MalformedToken"
        signed = f"{fields['sr']}\n{fields['se']}".encode()
        expected = base64.b64encode(hmac.digest(self._connection.key.encode(), signed, "sha256"))
        if unquote(fields["skn"]) != self._connection.key_name or not hmac.compare_digest(
            expected, unquote(fields["sig"]).encode()
        ):
            return "InvalidSignature"
        scope = urlsplit(unquote(fields["sr"]).lower()).path.rstrip("/") + "/"
        return scope, int(fields["se"])
