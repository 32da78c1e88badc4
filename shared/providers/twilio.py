"""SMS by Twilio: takes an attempt, gives its acceptance; takes status callbacks, gives receipts.

Messages resource: https://www.twilio.com/docs/messaging/api/message-resource
Status callbacks: https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
Request signatures: https://www.twilio.com/docs/usage/security
Error dictionary: https://www.twilio.com/docs/api/errors (all read 2026-11-24)

A status callback carries no time: its moment is the moment it was read, and its signature never goes stale. Replays
are harmless all the same, since a receipt changes a status only forwards.

A message resource does not show the callback's address, so it can't be said which attempt a message belongs to. What
can be said is that nothing at all was sent to a number since the attempt was claimed: the newest few messages to it are
asked for, and only their times are looked at. That a message was taken, its own callbacks tell within seconds.

Unverified against the real service: that the list of messages comes newest first; a page in another order says nothing.
"""

import base64
import hmac
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

# 18 ms to import and 38 µs a receipt, without the client; its comparison is not used, ours takes constant time.
from twilio.request_validator import RequestValidator, add_port, remove_port

from shared.domain.address import PhoneNumber
from shared.domain.capabilities import Capabilities
from shared.domain.content import Content, SmsContent
from shared.domain.errors import (
    FieldError,
    InDoubt,
    InvalidSubmission,
    Misconfigured,
    ProviderError,
    ReceiptNotAuthentic,
    Rejected,
    Throttled,
    Transient,
)
from shared.domain.identifiers import AttemptRef
from shared.domain.look_up import AttemptInDoubt, Finding, NotTaken, Unknown
from shared.domain.receipt import Receipt, ReceiptKind
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.provider_answer import (
    Failure,
    error_of,
    failure_of,
    is_success,
    json_object,
    retry_after,
    utc_now,
)
from shared.providers.provider_settings import base_url, own_settings, shared_setting
from shared.providers.sms_senders import SmsSenders, senders_of
from shared.providers.twilio_replies import TwilioReplies, form_fields

CALL_TIMEOUT = timedelta(seconds=20)
CAPABILITIES = Capabilities(max_text_characters=1600)
LOOKED_AT = 5  # messages to a number, of which the newest counts
CLOCK_DIFFERENCE = timedelta(minutes=2)
RECEIPT_PATH = "/api/v1/receipts"

# Error codes of the Messages resource, which say more than the status they come with.
CODES: Mapping[int, Failure] = {
    10001: (Misconfigured, "account_suspended"),
    14107: (Throttled, "too_many_requests"),
    20003: (Misconfigured, "authentication_failed"),
    20005: (Misconfigured, "account_suspended"),
    20404: (Misconfigured, "account_not_found"),
    20429: (Throttled, "too_many_requests"),
    20500: (Transient, "provider_unavailable"),
    20503: (Transient, "provider_unavailable"),
    21211: (Rejected, "invalid_address"),
    21212: (Misconfigured, "invalid_sender"),
    21217: (Rejected, "invalid_address"),
    21265: (Rejected, "invalid_address"),
    21266: (Rejected, "invalid_address"),  # To and From are the same number
    21407: (Misconfigured, "invalid_sender"),
    21408: (Rejected, "country_not_enabled"),  # our account's choice, but other countries' messages go through
    21601: (Misconfigured, "invalid_sender"),
    21602: (Rejected, "invalid_content"),
    21603: (Misconfigured, "invalid_sender"),
    21604: (Rejected, "invalid_address"),
    21606: (Misconfigured, "invalid_sender"),
    21608: (Misconfigured, "trial_account"),
    21609: (Misconfigured, "invalid_receipt_url"),
    21610: (Rejected, "unsubscribed"),
    21611: (Throttled, "sender_queue_full"),
    21612: (Rejected, "unreachable_from_sender"),
    21614: (Rejected, "not_a_mobile_number"),
    21617: (Rejected, "content_too_large"),
    21619: (Rejected, "invalid_content"),
    21635: (Rejected, "not_a_mobile_number"),
    21659: (Misconfigured, "invalid_sender"),
    21660: (Misconfigured, "invalid_sender"),
    21701: (Misconfigured, "invalid_sender"),
    21703: (Misconfigured, "invalid_sender"),
    21704: (Misconfigured, "invalid_sender"),
    21705: (Misconfigured, "invalid_sender"),
    21730: (Transient, "provider_unavailable"),  # maintenance
    21910: (Misconfigured, "invalid_sender"),
    30001: (Throttled, "sender_queue_full"),
    30002: (Misconfigured, "account_suspended"),
    30022: (Throttled, "too_many_requests"),
    63017: (Throttled, "too_many_requests"),
    63018: (Throttled, "too_many_requests"),
    63038: (Throttled, "daily_limit"),
}
# Used when the answer names no code of the table above.
STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_request"),
    401: (Misconfigured, "authentication_failed"),
    403: (Misconfigured, "permission_refused"),
    404: (Misconfigured, "account_not_found"),
    413: (Rejected, "content_too_large"),
    429: (Throttled, "too_many_requests"),
}
MESSAGE_STATUSES: Mapping[str, ReceiptKind] = {
    "accepted": ReceiptKind.DEFERRED,
    "scheduled": ReceiptKind.DEFERRED,
    "queued": ReceiptKind.DEFERRED,
    "sending": ReceiptKind.DEFERRED,
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.OPENED,
    "undelivered": ReceiptKind.BOUNCED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,
}
RECEIPT_CODES: Mapping[str, str] = {
    "21610": "unsubscribed",
    "30001": "sender_queue_full",
    "30002": "account_suspended",
    "30003": "unreachable",
    "30004": "blocked",
    "30005": "unknown_number",
    "30006": "not_a_mobile_number",
    "30007": "filtered_by_carrier",
    "30008": "unknown_error",
    "30009": "segment_missing",
    "30010": "price_too_high",
    "30011": "content_not_supported",
    "30022": "too_many_requests",
    "30023": "daily_limit",
    "30024": "sender_not_provisioned",
    "30032": "sender_not_verified",
    "30034": "sender_not_registered",
    "30036": "expired",
    "30410": "carrier_timeout",
    "30500": "carrier_unavailable",
}

SERVICE = re.compile(r"MG[0-9a-f]{32}")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TwilioSettings:
    """One Twilio account. A sender may also be a messaging service's SID (``MG…``), which has a pool of its own."""

    base_url: str
    account_sid: str
    auth_token: str = field(repr=False)
    senders: SmsSenders
    public_base_url: str


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "Twilio | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no TWILIO_ setting is present.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(settings, "TWILIO_BASE_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM_NUMBER")
    if own is None:
        return None
    return Twilio(
        TwilioSettings(
            base_url=base_url("TWILIO_BASE_URL", own["TWILIO_BASE_URL"]),
            account_sid=own["TWILIO_ACCOUNT_SID"],
            auth_token=own["TWILIO_AUTH_TOKEN"],
            senders=senders_of("TWILIO_FROM_NUMBER", own["TWILIO_FROM_NUMBER"], SERVICE),
            public_base_url=base_url("PUBLIC_BASE_URL", shared_setting(settings, "PUBLIC_BASE_URL")),
        ),
        http,
    )


class Twilio(TwilioReplies):
    """Carries SMS; posts receipts and customers' replies; can say that an attempt never reached it."""

    name = "twilio"
    channel = "sms"
    scheme: ClassVar[str] = ""  # before a number, on channels other than SMS
    codes: ClassVar[Mapping[int, Failure]] = CODES
    receipt_codes: ClassVar[Mapping[str, str]] = RECEIPT_CODES

    def __init__(self, settings: TwilioSettings, http: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        self._url = f"{settings.base_url}/2010-04-01/Accounts/{quote(settings.account_sid, safe='')}/Messages.json"
        credentials = base64.b64encode(f"{settings.account_sid}:{settings.auth_token}".encode()).decode()
        self._headers = {
            "authorization": f"Basic {credentials}",
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        self.capabilities = replace(CAPABILITIES, number_prefixes=settings.senders.prefixes)
        self._senders = settings.senders
        self._public_base_url = settings.public_base_url
        self._validator = RequestValidator(settings.auth_token)
        self._http = http
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one SMS to Twilio.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        answer = await self._http.post(self._url, headers=self._headers, body=self._form(message), timeout=CALL_TIMEOUT)
        if not is_success(answer):
            raise self._failure(answer)
        if not answer.body.lstrip().startswith(b"{"):
            raise InDoubt("malformed_answer")  # something between us and Twilio may have answered
        sid = json_object(answer.body).get("sid")
        # Without a sid the message is still created, and its receipts name the attempt.
        return Accepted(sid if isinstance(sid, str) else None)

    def _form(self, message: OutboundMessage) -> bytes:
        if not isinstance(message.address, PhoneNumber):
            raise Rejected("wrong_channel")
        said = self._said(message.content)
        sender = self._senders.sender_for(message.address.e164)
        if sender is None:
            raise error_of((Rejected, "country_not_enabled"))
        path = f"{RECEIPT_PATH}/{self.name}?attempt_id={quote(message.attempt_id, safe='')}"
        fields = (
            ("To", self._on_channel(message.address)),
            ("MessagingServiceSid", sender) if SERVICE.fullmatch(sender) else ("From", f"{self.scheme}{sender}"),
            *said,
            ("StatusCallback", f"{self._public_base_url}{path}"),
        )
        return urlencode(fields).encode()

    def _on_channel(self, number: PhoneNumber) -> str:
        return f"{self.scheme}{number.e164}"

    def _said(self, content: Content) -> Sequence[tuple[str, str]]:
        """The fields that say what is said. Raises Rejected for another channel's content."""
        if not isinstance(content, SmsContent):
            raise Rejected("wrong_channel")
        return [("Body", content.text)]

    def _failure(self, answer: HttpAnswer) -> ProviderError:
        code = json_object(answer.body).get("code")
        listed = self.codes.get(code) if isinstance(code, int) else None
        if listed is None:
            if code is not None:
                self._warn_of_unknown(str(code))
            return failure_of(self.name, STATUSES, answer, self._now())
        return error_of(listed, retry_after(answer.headers, self._now()))

    async def find_attempt(self, attempt: AttemptInDoubt) -> Finding:
        """That nothing was sent to the number since the attempt was claimed; otherwise nothing is known.

        The number stands in the URL: addresses of outgoing calls must stay out of logs and traces.
        """
        if not isinstance(attempt.address, PhoneNumber):
            return Unknown()
        query = urlencode({"To": self._on_channel(attempt.address), "PageSize": LOOKED_AT})
        answer = await self._http.get(f"{self._url}?{query}", headers=self._headers, timeout=CALL_TIMEOUT)
        if not is_success(answer):
            raise self._failure(answer)
        moments = _moments(json_object(answer.body).get("messages"))
        if moments is None or moments != sorted(moments, reverse=True):
            return Unknown()
        since = attempt.claimed_at - CLOCK_DIFFERENCE
        return Unknown() if moments and moments[0] >= since else NotTaken()

    def verify(self, request: ReceiptRequest, now: datetime) -> None:  # noqa: ARG002 - Twilio signs no time
        """Nothing when Twilio signed the request for our public address.

        Raises:
            ReceiptNotAuthentic: in every other case.
        """
        url = urlsplit(self._public_base_url + request.path_and_query)
        try:
            fields = form_fields(request.body)
        except ValueError as error:
            raise ReceiptNotAuthentic("the body is no form") from error
        presented = request.headers.get("x-twilio-signature", "").encode()
        # Twilio signs the URL with or without the scheme's own port, not always as it was given.
        expected = [self._validator.compute_signature(form(url), fields) for form in (remove_port, add_port)]
        matches = [hmac.compare_digest(own.encode(), presented) for own in expected]
        if not any(matches):
            raise ReceiptNotAuthentic("the signature is not Twilio's")

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The one event in a verified request; none when it is about no attempt of ours.

        Raises:
            InvalidSubmission: the body has no message status.
        """
        attempt_id = request.query.get("attempt_id", "")
        if AttemptRef.parse(attempt_id) is None:
            return []
        fields = form_fields(request.body)
        status, code = fields.get("MessageStatus"), fields.get("ErrorCode")
        if status is None:
            raise InvalidSubmission([FieldError("/MessageStatus", "missing")], status=400)
        if status not in MESSAGE_STATUSES:
            self._warn_of_unknown(status)
        return [
            Receipt(
                attempt_id=attempt_id,
                kind=MESSAGE_STATUSES.get(status, ReceiptKind.UNKNOWN),
                occurred_at=self._now(),
                raw_code=f"{status}:{code}" if code else status,
                reason=self._reason(code),
                provider_message_id=fields.get("MessageSid"),
            )
        ]

    def _reason(self, code: str | None) -> str | None:
        if not code or code == "0":
            return None
        if code not in self.receipt_codes:
            self._warn_of_unknown(code)
        return self.receipt_codes.get(code, f"twilio_{code}" if code.isdecimal() else None)

    def _warn_of_unknown(self, code: str) -> None:
        _logger.warning("provider sent an unknown code", extra={"provider": self.name, "code": code[:64]})


def _moments(messages: object) -> list[datetime] | None:
    """When each of the messages was created, in the order given; None when that can't be read."""
    if not isinstance(messages, list):
        return None
    try:
        return [parsedate_to_datetime(str(each["date_created"])).astimezone(UTC) for each in messages]
    except (ValueError, TypeError, KeyError):
        return None
