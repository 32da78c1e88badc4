"""Azure Communication Services: what its channels share, a connection string and the signature of a request.

Access keys: https://learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial (read 2026-11-25).
Checked against the policy in azure-communication-email 1.1.0, whose signature for fixed arguments is a test. Signing in
with Entra ID instead of a key is not built: providers are handed no credential.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from shared.providers.provider_settings import base_url

_SIGNED = "x-ms-date;host;x-ms-content-sha256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Resource:
    """One Communication Services resource: where it is and the key that signs requests to it."""

    url: str
    host: str
    key: bytes = field(repr=False)

    def signed_headers(self, method: str, path_and_query: str, body: bytes, now: datetime) -> dict[str, str]:
        """The headers that authenticate one request, good for some minutes around ``now``."""
        date = format_datetime(now, usegmt=True)
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        text = f"{method}\n{path_and_query}\n{date};{self.host};{digest}"
        signature = base64.b64encode(hmac.digest(self.key, text.encode(), "sha256")).decode()
        return {
            "x-ms-date": date,
            "x-ms-content-sha256": digest,
            "authorization": f"HMAC-SHA256 SignedHeaders={_SIGNED}&Signature={signature}",
        }


def resource_of(name: str, connection: str, address: str = "") -> Resource:
    """The resource that the connection string ``connection`` names.

    Args:
        name: the setting it stands in.
        connection: ``endpoint=https://<resource>.communication.azure.com/;accesskey=<base64>``.
        address: another origin to talk to, for tests and the local stand-in; empty for the endpoint itself.

    Raises:
        ValueError: a part is missing or malformed; names the setting, shows no value.
    """
    pairs = (part.partition("=") for part in connection.split(";"))
    parts = {key.strip().lower(): value.strip() for key, _, value in pairs}
    if not parts.get("endpoint") or not parts.get("accesskey"):
        raise ValueError(f"{name} must name endpoint and accesskey")
    try:
        key = base64.b64decode(parts["accesskey"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"{name}: the access key is no base64") from error
    url = base_url(name, address or parts["endpoint"])
    return Resource(url, _host_header(url), key)


def _host_header(url: str) -> str:
    # What the HTTP client sends as Host: in lower case, and without the scheme's own port.
    parts = urlsplit(url)
    port = "" if parts.port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.hostname}{port}"
