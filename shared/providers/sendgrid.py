"""Email by Twilio SendGrid: takes an attempt, gives its acceptance; takes event webhooks, gives receipts.

Mail Send v3: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
Event Webhook: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
Signed Event Webhook: …/tracking-events/getting-started-event-webhook-security-features (all read 2026-11-24)

Unverified against the real service: that a repeated event webhook is signed anew with a fresh time stamp. If it were
not, repeats later than five minutes would be refused and the sweep for receipts that never came would have to do.

The vendor's package is not imported here. Its mail builder takes 35 µs a message where a dict takes 2, its import 0.1 s
of a cold start, and its verifier raises on a malformed signature. A test checks this file against its verifier.
"""

import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import cast

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from shared.domain.address import EmailAddress
from shared.domain.content import EmailContent
from shared.domain.errors import (
    FieldError,
    InvalidSubmission,
    Misconfigured,
    ProviderError,
    ReceiptNotAuthentic,
    Rejected,
    Throttled,
    Untried,
)
from shared.domain.identifiers import AttemptRef
from shared.domain.receipt import Receipt, ReceiptKind
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.list_unsubscribe import unsubscribe_headers
from shared.providers.mail_group import MailGroup, PersonalPart, describe_group, divide_mails
from shared.providers.provider_answer import Failure, bounded, failure_of, is_success, json_object, utc_now
from shared.providers.provider_settings import base_url, own_settings

CALL_TIMEOUT = timedelta(seconds=20)
MAX_PERSONALIZATIONS = 1_000  # even so many of the largest stay below the 30 MB that a request may have
MAX_PERSONAL_BYTES = 10_000  # of substitutions in a personalization; the newer of two pages says 50,000
RECEIPT_TOLERANCE = timedelta(minutes=5)

# Answers of Mail Send. 403 is either a sender that is not verified or a key without the right to send.
STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_request"),
    401: (Misconfigured, "authentication_failed"),
    403: (Misconfigured, "sender_or_permission_refused"),
    404: (Misconfigured, "endpoint_not_found"),
    405: (Misconfigured, "endpoint_not_found"),
    406: (Misconfigured, "header_missing"),
    413: (Rejected, "content_too_large"),
    415: (Misconfigured, "header_missing"),
    429: (Throttled, "too_many_requests"),
    451: (Misconfigured, "data_residency"),
}
# A 400 names the field at fault; the first prefix that fits decides. N is the message's place in the call.
FIELDS: tuple[tuple[str, Failure], ...] = (
    ("personalizations.N.to", (Rejected, "invalid_address")),
    ("personalizations", (Rejected, "invalid_request")),
    ("from", (Misconfigured, "invalid_sender")),
    ("content", (Rejected, "invalid_content")),
    ("subject", (Rejected, "invalid_content")),
)
EVENTS: Mapping[str, ReceiptKind] = {
    "processed": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "deferred": ReceiptKind.DEFERRED,
    "bounce": ReceiptKind.BOUNCED,
    "dropped": ReceiptKind.FAILED,
    "open": ReceiptKind.OPENED,
    "click": ReceiptKind.CLICKED,
    "spamreport": ReceiptKind.COMPLAINED,
    "unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "group_unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "group_resubscribe": ReceiptKind.UNKNOWN,  # documented, but consent is given to us, not to the provider
}
# A bounce of type "blocked" is soft: this message was refused, the mailbox may well take the next one.
BOUNCES: Mapping[str, str] = {"bounce": "hard_bounce", "blocked": "blocked", "expired": "expired"}
DROPS: Mapping[str, str] = {
    "bounced address": "suppressed_bounced",
    "unsubscribed address": "suppressed_unsubscribed",
    "spam reporting address": "suppressed_complained",
    "invalid": "invalid_address",
    "spam content (if spam checker app enabled)": "spam_content",
    "recipient list over package quota": "quota_exceeded",
    "invalid smtpapi header": "invalid_request",
}

_PLACE = re.compile(r"(?<=^personalizations\.)\d+")
_SUFFIX_OF_MESSAGE_ID = re.compile(r"\.(?:filter|recv)")  # sg_message_id is X-Message-Id with the machine's name behind
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SendGridSettings:
    """One SendGrid account. ``from_address`` may carry a display name; the key verifies event webhooks."""

    base_url: str
    api_key: str = field(repr=False)
    from_address: str
    receipt_public_key: str


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "SendGrid | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no SENDGRID_ setting is present.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(
        settings, "SENDGRID_BASE_URL", "SENDGRID_API_KEY", "SENDGRID_FROM_ADDRESS", "SENDGRID_RECEIPT_PUBLIC_KEY"
    )
    if own is None:
        return None
    return SendGrid(
        SendGridSettings(
            base_url=base_url("SENDGRID_BASE_URL", own["SENDGRID_BASE_URL"]),
            api_key=own["SENDGRID_API_KEY"],
            from_address=own["SENDGRID_FROM_ADDRESS"],
            receipt_public_key=own["SENDGRID_RECEIPT_PUBLIC_KEY"],
        ),
        http,
    )


class SendGrid:
    """Carries email; posts receipts."""

    name = "sendgrid"
    channel = "email"
    group_limit = MAX_PERSONALIZATIONS

    def __init__(self, settings: SendGridSettings, http: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        self._url = f"{settings.base_url}/v3/mail/send"
        self._headers = {"authorization": f"Bearer {settings.api_key}", "content-type": "application/json"}
        self._sender = _mailbox(settings.from_address)
        self._public_key = _public_key(settings.receipt_public_key)
        self._http = http
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one email to SendGrid.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        answer = await self._post(self._mail(message))
        if is_success(answer):
            return Accepted(answer.headers.get("x-message-id"))
        raise self._failure(answer)

    async def _post(self, mail: Mapping[str, object]) -> HttpAnswer:
        return await self._http.post(self._url, headers=self._headers, body=orjson.dumps(mail), timeout=CALL_TIMEOUT)

    def divide(self, messages: Sequence[OutboundMessage]) -> Sequence[Sequence[int]]:
        """The positions of ``messages``, grouped so that each group differs by substitutions only."""
        return divide_mails(messages, self.group_limit, MAX_PERSONAL_BYTES)

    async def send_group(self, messages: Sequence[OutboundMessage]) -> Sequence[Accepted | ProviderError]:
        """Hand several emails to SendGrid as personalizations of one.

        Raises:
            Transient, Throttled, Misconfigured, InDoubt: all of them alike, by the tables above.
        """
        answer = await self._post(self._group_mail(describe_group(messages)))
        if is_success(answer):
            return [Accepted(answer.headers.get("x-message-id"))] * len(messages)
        return self._failures(answer, len(messages))

    def _mail(self, message: OutboundMessage) -> Mapping[str, object]:
        if not isinstance(message.address, EmailAddress) or not isinstance(message.content, EmailContent):
            raise Rejected("wrong_channel")
        content = message.content
        return {
            "personalizations": [{"to": [{"email": message.address.mailbox}]}],
            "from": self._sender,
            "subject": " ".join(content.subject.splitlines()),
            "content": _content(content.text, content.html),
            "custom_args": {"attempt_id": message.attempt_id},
            **({"headers": unsubscribe_headers(message.unsubscribe_url)} if message.unsubscribe_url else {}),
        }

    def _group_mail(self, group: MailGroup) -> Mapping[str, object]:
        subject = {} if group.subject is None else {"subject": group.subject}
        return {
            "personalizations": [_personalization(part, has_subject=group.subject is None) for part in group.parts],
            "from": self._sender,
            **subject,
            "content": _content(group.text, group.html),
        }

    def _failures(self, answer: HttpAnswer, count: int) -> Sequence[ProviderError]:
        """What a refused group means for each. Raises what it means for all."""
        if answer.status not in {400, 413}:
            raise self._failure(answer)
        untried = Untried("refused_with_others")
        failures: list[ProviderError] = [untried] * count
        for name in _fields(answer.body):
            failure = _field_failure(name)
            if isinstance(failure, Misconfigured):
                raise failure
            place = _PLACE.search(name)
            if failure and place and int(place[0]) < count:
                failures[int(place[0])] = failure
        return failures

    def _failure(self, answer: HttpAnswer) -> ProviderError:
        first = next(iter(_fields(answer.body)), "")
        if answer.status == 400 and (named := _field_failure(first)):  # noqa: PLR2004 - the only one whose body tells more
            return named
        failure = failure_of(self.name, STATUSES, answer, self._now())
        if isinstance(failure, Throttled) and failure.retry_after is None:
            failure.retry_after = self._until_reset(answer.headers)
        return failure

    def _until_reset(self, headers: Mapping[str, str]) -> timedelta | None:
        reset = headers.get("x-ratelimit-reset", "")
        if not (reset.isascii() and reset.isdecimal()):
            return None
        return bounded(timedelta(seconds=min(int(reset[:12]), 10**11) - self._now().timestamp()))

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        """Nothing when SendGrid signed the request at most five minutes ago.

        Raises:
            ReceiptNotAuthentic: in every other case.
        """
        timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        if not (timestamp.isascii() and timestamp.isdecimal()):
            raise ReceiptNotAuthentic("the time stamp is missing")
        if abs(now.timestamp() - int(timestamp[:12])) > RECEIPT_TOLERANCE.total_seconds():
            raise ReceiptNotAuthentic("the time stamp is too far from now")
        presented = request.headers.get("x-twilio-email-event-webhook-signature", "")
        try:
            signature = base64.b64decode(presented, validate=True)
            self._public_key.verify(signature, timestamp.encode() + request.body, ec.ECDSA(hashes.SHA256()))
        except (ValueError, InvalidSignature) as error:
            raise ReceiptNotAuthentic("the signature is not SendGrid's") from error
        if base64.b64encode(signature).decode() != presented:  # base64 has spare bits at its end
            raise ReceiptNotAuthentic("the signature is not SendGrid's")

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The events in a verified request, without those about no attempt of ours.

        Raises:
            InvalidSubmission: the body is no list of events.
        """
        try:
            events = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise _malformed("", "not JSON") from error
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise _malformed("", "not a list of events")
        ours = ((index, event) for index, event in enumerate(events) if _is_ours(event))
        return [_receipt(index, event) for index, event in ours]


def _mailbox(sender: str) -> Mapping[str, str]:
    name, email = parseaddr(sender)
    if "@" not in email:
        raise ValueError("SENDGRID_FROM_ADDRESS is no email address")
    return {"email": email, "name": name} if name else {"email": email}


def _public_key(encoded: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("SENDGRID_RECEIPT_PUBLIC_KEY is no base64 of a public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("SENDGRID_RECEIPT_PUBLIC_KEY is no elliptic curve key")  # noqa: TRY004 - a setting's value, not a type
    return key


def _content(text: str | None, html: str | None) -> Sequence[Mapping[str, str]]:
    # text/plain first: the API asks for parts in order of growing richness.
    return [{"type": kind, "value": value} for kind, value in (("text/plain", text), ("text/html", html)) if value]


def _personalization(part: PersonalPart, *, has_subject: bool) -> Mapping[str, object]:
    person: dict[str, object] = {"to": [{"email": part.mailbox}], "custom_args": {"attempt_id": part.attempt_id}}
    person |= {"subject": part.subject} if has_subject else {}
    person |= {"substitutions": orjson.Fragment(part.values)} if part.values else {}
    person |= {"headers": unsubscribe_headers(part.unsubscribe_url)} if part.unsubscribe_url else {}
    return person


def _fields(body: bytes) -> Sequence[str]:
    """The fields that an answer names, the first fault first."""
    errors = json_object(body).get("errors")
    listed = errors if isinstance(errors, list) else []
    return [str(error.get("field") or "") for error in listed if isinstance(error, dict)]


def _field_failure(name: str) -> ProviderError | None:
    general = _PLACE.sub("N", name)
    return next((kind(reason) for prefix, (kind, reason) in FIELDS if general.startswith(prefix)), None)


def _is_ours(event: Mapping[str, object]) -> bool:
    # Custom arguments come back flattened, beside the event's own fields.
    attempt_id = event.get("attempt_id")
    return isinstance(attempt_id, str) and AttemptRef.parse(attempt_id) is not None


def _receipt(index: int, event: Mapping[str, object]) -> Receipt:
    code = str(event.get("event") or "")
    kind = EVENTS.get(code)
    if kind is None:
        _logger.warning("provider sent an unknown receipt code", extra={"provider": SendGrid.name, "code": code[:64]})
    timestamp = event.get("timestamp")
    if isinstance(timestamp, bool) or not isinstance(timestamp, int) or not 0 <= timestamp < 10**11:
        raise _malformed(f"/{index}/timestamp", "not a Unix time")
    return Receipt(
        attempt_id=cast("str", event["attempt_id"]),
        kind=kind or ReceiptKind.UNKNOWN,
        occurred_at=datetime.fromtimestamp(timestamp, UTC),
        raw_code=code,
        reason=_reason(code, event),
        provider_message_id=_message_id(event.get("sg_message_id")),
    )


def _reason(code: str, event: Mapping[str, object]) -> str | None:
    if code == "bounce":
        return BOUNCES.get(str(event.get("type")), "hard_bounce")
    if code == "dropped":
        return DROPS.get(str(event.get("reason")).lower(), "dropped")
    return None


def _message_id(value: object) -> str | None:
    return _SUFFIX_OF_MESSAGE_ID.split(value, maxsplit=1)[0] if isinstance(value, str) and value else None


def _malformed(pointer: str, detail: str) -> InvalidSubmission:
    return InvalidSubmission([FieldError(pointer, detail)], status=400)
