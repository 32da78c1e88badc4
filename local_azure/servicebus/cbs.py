"""Claims-based security: tokens a connection shows at `$cbs`, and which entities they open.

Takes put-token requests, gives 202 or 401 and remembers the audience until the token ends. A shared access signature
is HMAC-SHA256 over the url-encoded audience and the expiry, with the key's text as key
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas); it is verified when the emulator was given
a key, and only parsed otherwise. JSON web tokens are taken as they are: who issued them is not known here.
"""

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus

from local_azure.servicebus.clock import Clock
from local_azure.servicebus.codec import DecodeError, Int
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.message import encode_reply, value_of

if TYPE_CHECKING:
    from local_azure.servicebus.links import Intake
    from local_azure.servicebus.session import LinkSession

_SAS_PREFIX = "SharedAccessSignature "
_JWT_LIFE_MS = 3_600_000
_MAX_AUDIENCES = 256


class TokenRefused(Exception):
    """The token does not open what it is shown for."""


def _path(audience: str) -> str:
    """The entity path of an audience such as `sb://host:port/queue`, folded; the whole namespace is empty."""
    _, scheme, rest = audience.partition("://")
    path = rest.partition("/")[2] if scheme else audience
    return path.strip("/").casefold()


def _covers(granted: str, path: str) -> bool:
    return not granted or path == granted or path.startswith(granted + "/")


class Verifier:
    """Checks tokens against the emulator's key, if it has one."""

    def __init__(self, key: str | None, clock: Clock) -> None:
        self._key, self._clock = key, clock

    def expiry_ms(self, token: str, audience: str) -> int:
        """When the token ends.

        Raises:
            TokenRefused: when it is malformed, expired, forged or for something else.
        """
        if not token.startswith(_SAS_PREFIX):
            if not token:
                raise TokenRefused("an empty token")
            return self._clock.now_ms() + _JWT_LIFE_MS
        parts = parse_qs(token.removeprefix(_SAS_PREFIX), keep_blank_values=True)
        try:
            resource, signature, expiry = (parts[name][0] for name in ("sr", "sig", "se"))
            ends = int(expiry) * 1000
        except (KeyError, ValueError) as error:
            raise TokenRefused("a signature has sr, sig, se and skn") from error
        if self._key is not None and not self._is_genuine(token, signature, expiry):
            raise TokenRefused("the signature is not valid")
        if ends <= self._clock.now_ms():
            raise TokenRefused("the token has expired")
        if not _covers(_path(unquote_plus(resource)), _path(audience)):
            raise TokenRefused("the token is for another entity")
        return ends

    def _is_genuine(self, token: str, signature: str, expiry: str) -> bool:
        # The signed text is the audience as it stands in the token, still encoded.
        raw = dict(part.partition("=")[::2] for part in token.removeprefix(_SAS_PREFIX).split("&"))
        signed = f"{raw['sr']}\n{expiry}".encode()
        expected = base64.b64encode(hmac.new((self._key or "").encode(), signed, hashlib.sha256).digest())
        return hmac.compare_digest(expected, signature.encode())


class Grants:
    """What one connection may attach to."""

    def __init__(self, verifier: Verifier, clock: Clock) -> None:
        self._verifier, self._clock = verifier, clock
        self._ends: dict[str, int] = {}

    def put(self, token: str, audience: str) -> None:
        """Remember a good token.

        Raises:
            TokenRefused: for a bad one.
        """
        ends = self._verifier.expiry_ms(token, audience)
        if len(self._ends) >= _MAX_AUDIENCES:
            self._ends.pop(next(iter(self._ends)))
        self._ends[_path(audience)] = ends

    def check(self, path: str) -> None:
        """Nothing, when a token that is still good covers the entity.

        Raises:
            AmqpError: amqp:unauthorized-access.
        """
        folded, now = path.casefold(), self._clock.now_ms()
        if not any(ends > now and _covers(granted, folded) for granted, ends in self._ends.items()):
            raise AmqpError("amqp:unauthorized-access", f"Unauthorized access to '{path}': put a token first.")


def requests(session: "LinkSession") -> "Intake":
    """Serves the requests of a `$cbs` sender link."""

    def intake(payload: bytes, _format: int) -> None:
        properties, application_properties, body = value_of(payload)
        status, text = _put_token(session, application_properties, body)
        reply = encode_reply(properties[0], {"status-code": Int(status), "status-description": text}, None)
        session.reply("$cbs", properties[4], reply)

    return intake


def _put_token(session: "LinkSession", request: dict[str, Any], token: Any) -> tuple[int, str]:
    name = request.get("name")
    if request.get("operation") != "put-token" or not isinstance(name, str):
        return 400, "put-token with a name is expected"
    if isinstance(token, bytes):
        token = token.decode("utf-8", "replace")
    if not isinstance(token, str):
        raise DecodeError("the token is not text")
    try:
        session.connection.grants.put(token, name)
    except TokenRefused as refusal:
        return 401, f"InvalidSignature: {refusal}"
    return 202, "Accepted"
