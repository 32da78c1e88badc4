"""Email by any SMTP server that takes submissions: takes an attempt, gives its acceptance; nothing comes back.

Submission: https://www.rfc-editor.org/rfc/rfc6409, SMTP: rfc5321, TLS: rfc8314, automatic mail: rfc3834, enhanced
codes: rfc3463 with https://www.iana.org/assignments/smtp-enhanced-status-codes (all read 2026-11-25)

The server's answer to the final dot is its acceptance; a later bounce is a mail to the sender's mailbox, which nobody
reads here, so *sent* is the last that is known. There is no look-up either: an attempt whose answer is lost stays in
doubt until the category's policy decides. The attempt id travels as ``X-CNS-Attempt-Id`` and in the Message-ID.

A message is made by the standard library, in seven bits, so that it needs no extension of the server. That takes about
0.4 ms of CPU, where a JSON body takes 0.03; as a stand-by this is paid while the first provider is away.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.header import Header
from email.headerregistry import Address as Mailbox
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr, parseaddr
from typing import cast, get_args

from shared.domain.address import EmailAddress
from shared.domain.capabilities import Capabilities
from shared.domain.content import EmailContent
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.ports import Accepted, HttpClient, OutboundMessage
from shared.providers.internet_message import message_id
from shared.providers.list_unsubscribe import unsubscribe_headers
from shared.providers.provider_answer import Failure, error_of, utc_now
from shared.providers.provider_settings import own_settings
from shared.providers.smtp_connections import (
    Broken,
    Encryption,
    Envelope,
    Refused,
    SmtpConnections,
    SmtpServer,
    Stage,
)

CALL_TIMEOUT = timedelta(seconds=20)
CAPABILITIES = Capabilities(max_message_bytes=18 * 1024 * 1024)  # common servers take 25 MB, of which base64 is a third

# Enhanced codes at the head of the answer's text. "4.7.28" before "4.7", "4.7" before the code's own meaning.
ENHANCED: Mapping[str, Failure] = {
    "4.2.1": (Transient, "mailbox_unavailable"),
    "4.2.2": (Transient, "mailbox_full"),
    "4.3.1": (Transient, "provider_unavailable"),
    "4.4.5": (Throttled, "too_many_requests"),
    "4.5.3": (Throttled, "too_many_requests"),
    "4.7.28": (Throttled, "too_many_requests"),
    "4.7.32": (Throttled, "too_many_requests"),
    "5.1.1": (Rejected, "invalid_address"),
    "5.1.2": (Rejected, "invalid_address"),
    "5.1.3": (Rejected, "invalid_address"),
    "5.1.6": (Rejected, "invalid_address"),
    "5.1.7": (Misconfigured, "invalid_sender"),
    "5.1.8": (Misconfigured, "invalid_sender"),
    "5.1.10": (Rejected, "invalid_address"),
    "5.2.1": (Rejected, "mailbox_disabled"),
    "5.2.2": (Rejected, "mailbox_full"),
    "5.2.3": (Rejected, "content_too_large"),
    "5.3.4": (Rejected, "content_too_large"),
    "5.4.4": (Rejected, "invalid_address"),
    "5.5.3": (Rejected, "invalid_request"),
    "5.6": (Rejected, "invalid_content"),
    "5.7.0": (Misconfigured, "authentication_failed"),
    "5.7.1": (Rejected, "blocked_by_provider"),
    "5.7.8": (Misconfigured, "authentication_failed"),
    "5.7.9": (Misconfigured, "authentication_failed"),
    "5.7": (Rejected, "blocked_by_provider"),
}
# Reply codes, where the answer carries no enhanced code of the table above.
CODES: Mapping[int, Failure] = {
    421: (Transient, "provider_unavailable"),
    450: (Transient, "mailbox_unavailable"),
    451: (Transient, "provider_unavailable"),
    452: (Throttled, "too_many_requests"),
    454: (Transient, "provider_unavailable"),
    455: (Transient, "provider_unavailable"),
    521: (Rejected, "invalid_address"),
    530: (Misconfigured, "authentication_failed"),
    534: (Misconfigured, "authentication_failed"),
    535: (Misconfigured, "authentication_failed"),
    538: (Misconfigured, "authentication_failed"),
    552: (Rejected, "content_too_large"),
    555: (Misconfigured, "command_refused"),
    556: (Rejected, "invalid_address"),
}
# Any other answer from 500 on, by the stage that it ended.
STAGES: Mapping[Stage, Failure] = {
    Stage.CONNECT: (Misconfigured, "connection_refused"),
    Stage.SIGN_IN: (Misconfigured, "authentication_failed"),
    Stage.SENDER: (Misconfigured, "invalid_sender"),
    Stage.RECIPIENT: (Rejected, "invalid_address"),
    Stage.CONTENT: (Rejected, "content_refused"),
}
# The older policy: the newer one parses every header into a tree, which takes 2 ms a message where this takes 0.4.
_POLICY = compat32.clone(linesep="\r\n", max_line_length=None)
_BOUNDARY = "=_cns-part_="
_MAX_PLAIN_HEADER = 60
_MAX_ENCODED_LINE = 76
# No line break but one that the next line's indentation makes part of the value (RFC 5322, 2.2.3), as encoded words do.
_ONE_LINE = re.compile(r"[\x20-\x7e]+(?:\r\n [\x20-\x7e]+)*|")
_ENCRYPTIONS = get_args(Encryption)
_PORTS: Mapping[str, int] = {"starttls": 587, "implicit": 465, "none": 25}
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_FIRST_PERMANENT = 500
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_ENHANCED_CODE = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """One server and one sender; ``from_address`` may carry a display name."""

    server: SmtpServer
    from_address: Mailbox


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "Smtp | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when neither SMTP_HOST nor SMTP_FROM_ADDRESS is present.

    SMTP_TLS is ``starttls`` (the default), ``implicit``, or ``none``, which only a server on this machine may have;
    SMTP_PORT follows from it (587, 465, 25). SMTP_USERNAME and SMTP_PASSWORD belong together.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(settings, "SMTP_HOST", "SMTP_FROM_ADDRESS")
    if own is None:
        return None
    encryption = settings.get("SMTP_TLS", "").strip() or "starttls"
    if encryption not in _ENCRYPTIONS:
        raise ValueError(f"SMTP_TLS must be one of {', '.join(_ENCRYPTIONS)}")
    if encryption == "none" and own["SMTP_HOST"] not in _LOOPBACK:
        raise ValueError("SMTP_TLS may be none for a server on this machine only")
    port = settings.get("SMTP_PORT", "").strip() or str(_PORTS[encryption])
    if not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004 - the range of ports
        raise ValueError("SMTP_PORT is no port")
    sign_in = own_settings(settings, "SMTP_USERNAME", "SMTP_PASSWORD") or {}
    sender = _mailbox(own["SMTP_FROM_ADDRESS"])
    return Smtp(
        SmtpSettings(
            SmtpServer(
                host=own["SMTP_HOST"],
                port=int(port),
                encryption=cast("Encryption", encryption),
                greets_as=sender.domain,
                username=sign_in.get("SMTP_USERNAME"),
                password=sign_in.get("SMTP_PASSWORD"),
            ),
            sender,
        )
    )


class Smtp:
    """Carries email; posts no receipts."""

    name = "smtp"
    channel = "email"
    capabilities = CAPABILITIES

    def __init__(
        self, settings: SmtpSettings, now: Callable[[], datetime] = utc_now, timeout: timedelta = CALL_TIMEOUT
    ) -> None:
        self._sender = settings.from_address
        self._from = formataddr((settings.from_address.display_name, settings.from_address.addr_spec))
        self._connections = SmtpConnections(settings.server)
        self._now = now
        self._timeout = timeout

    async def send(self, message: OutboundMessage) -> Accepted:
        """Submit one email.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        if not isinstance(message.address, EmailAddress) or not isinstance(message.content, EmailContent):
            raise Rejected("wrong_channel")
        name = message_id(message.attempt_id, self._sender.domain)
        content = self._message(message, message.address, message.content, name)
        envelope = Envelope(self._sender.addr_spec, message.address.mailbox)
        try:
            await self._connections.submit(envelope, content, self._timeout)
        except Refused as error:
            raise _failure(error) from error
        except Broken as error:
            raise _broken(error) from error
        return Accepted(name)

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()

    def _message(self, message: OutboundMessage, to: EmailAddress, content: EmailContent, name: str) -> bytes:
        headers = {
            "From": self._from,
            "To": to.mailbox,
            "Subject": _header(" ".join(content.subject.splitlines())),
            "Date": format_datetime(self._now()),
            "Message-ID": name,
            "X-CNS-Attempt-Id": message.attempt_id,
            "Auto-Submitted": "auto-generated",  # keeps out-of-office answers away
            **unsubscribe_headers(message.unsubscribe_url),
        }
        if not all(_ONE_LINE.fullmatch(value) for value in headers.values()):
            raise Rejected("invalid_content")
        try:
            mail = _body(content)
        except UnicodeEncodeError as error:  # half a surrogate pair
            raise Rejected("invalid_content") from error
        for header, value in headers.items():
            mail[header] = value
        return mail.as_bytes(policy=_POLICY)


def _header(text: str) -> str:
    """``text`` as a header's value: as it is when it is short and ASCII, else in encoded words (RFC 2047)."""
    if text.isascii() and len(text) <= _MAX_PLAIN_HEADER:
        return text
    return Header(text, "utf-8", maxlinelen=_MAX_ENCODED_LINE).encode(linesep="\r\n")


def _body(content: EmailContent) -> MIMEBase:
    # Base64 throughout: it is safe on every server, and none of its characters occurs in the boundary.
    texts = [(kind, text) for kind, text in (("plain", content.text), ("html", content.html)) if text]
    parts = [
        MIMEText(_LINE_BREAK.sub("\r\n", text), kind, "utf-8", policy=_POLICY)
        for kind, text in texts or [("plain", "")]
    ]
    if len(parts) == 1:
        return parts[0]
    return MIMEMultipart("alternative", _BOUNDARY, parts, policy=_POLICY)


def _mailbox(sender: str) -> Mailbox:
    name, email = parseaddr(sender)
    try:
        return Mailbox(name, addr_spec=email)
    except (ValueError, IndexError) as error:
        raise ValueError("SMTP_FROM_ADDRESS is no email address") from error


def _failure(refused: Refused) -> ProviderError:
    found = _ENHANCED_CODE.match(refused.text)
    enhanced = found[1] if found else ""
    # 5.7.1 is what a server says to a bad sign-in as well.
    listed = None if refused.stage <= Stage.SIGN_IN else _by_enhanced_code(enhanced)
    listed = listed or CODES.get(refused.code)
    if listed:
        return error_of(listed)
    if refused.code and refused.code < _FIRST_PERMANENT:
        _logger.warning("provider answered with an unlisted code", extra={"provider": Smtp.name, "code": refused.code})
        return Transient("provider_unavailable")
    return error_of(STAGES[refused.stage])


def _by_enhanced_code(code: str) -> Failure | None:
    return ENHANCED.get(code) or ENHANCED.get(code.rpartition(".")[0])


def _broken(broken: Broken) -> ProviderError:
    if broken.stage is Stage.CONTENT:
        return InDoubt(broken.reason)
    return Transient("connection_failed")
