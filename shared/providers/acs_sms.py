"""SMS by Azure Communication Services: takes attempts, gives acceptances; takes Event Grid posts, gives receipts.

Send 2021-03-07: https://learn.microsoft.com/rest/api/communication/sms/sms/send
Events: https://learn.microsoft.com/azure/event-grid/communication-services-telephony-sms-events
Codes of delivery reports: https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/…, SMS
Limits: https://learn.microsoft.com/azure/communication-services/concepts/service-limits (all read 2026-11-25)

The answer is 202 whatever becomes of the one recipient; the recipient's own status stands inside. The attempt id
travels as ``tag`` and comes back in the delivery report. The request is repeatable under a UUID made from the attempt
id, so a copy that a proxy made of it would not be sent twice; we never call twice for one attempt.

Unverified against the real service: what an item inside a 202 says when the sender is not allowed for a country or the
recipient has opted out (the codes are documented for delivery reports only); how long a tag may be (ours has some 60
characters). There is no look-up by anything that we know before the answer: delivery reports are read by message id.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime

import orjson

from shared.domain.address import PhoneNumber
from shared.domain.capabilities import Capabilities
from shared.domain.content import SmsContent
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptRef
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.reply import Reply, number_of
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.communication_services import Resource, resource_of
from shared.providers.event_grid import GridEvent, events_of, handshake_answer, receipt_keys, verify_key
from shared.providers.provider_answer import Failure, error_of, failure_of, is_success, json_object, utc_now
from shared.providers.provider_settings import own_settings
from shared.providers.sms_senders import SmsSenders, senders_of

CALL_TIMEOUT = timedelta(seconds=20)
PATH = "/sms?api-version=2021-03-07"
CAPABILITIES = Capabilities(max_text_characters=2048)

# The answer's own status.
STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_request"),
    401: (Misconfigured, "authentication_failed"),
    403: (Misconfigured, "permission_refused"),
    404: (Misconfigured, "invalid_sender"),
    429: (Throttled, "too_many_requests"),
}
# The recipient's status inside a 202.
ITEM_STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_address"),
    401: (Misconfigured, "invalid_sender"),
    403: (Rejected, "country_not_enabled"),
    404: (Misconfigured, "invalid_sender"),
    409: (Transient, "provider_unavailable"),  # the same repeatable request is being worked on
    429: (Throttled, "too_many_requests"),
}
REPORT = "Microsoft.Communication.SMSDeliveryReportReceived"
INCOMING = "Microsoft.Communication.SMSReceived"
STATUSES_OF_REPORTS: Mapping[str, ReceiptKind] = {"delivered": ReceiptKind.DELIVERED, "failed": ReceiptKind.FAILED}
# The number at the head of ``deliveryStatusDetails``; it refines *failed*.
CODES: Mapping[str, tuple[ReceiptKind, str]] = {
    "4000": (ReceiptKind.FAILED, "blocked_by_provider"),
    "4001": (ReceiptKind.FAILED, "invalid_sender"),
    "4002": (ReceiptKind.FAILED, "invalid_address"),
    "4003": (ReceiptKind.FAILED, "country_not_enabled"),
    "4004": (ReceiptKind.BOUNCED, "unknown_number"),
    "4005": (ReceiptKind.BOUNCED, "filtered_by_carrier"),
    "4006": (ReceiptKind.BOUNCED, "unreachable"),
    "4007": (ReceiptKind.FAILED, "unsubscribed"),
    "4008": (ReceiptKind.FAILED, "too_many_requests"),
    "4009": (ReceiptKind.FAILED, "account_suspended"),
    "4010": (ReceiptKind.FAILED, "sender_not_verified"),
    "4020": (ReceiptKind.FAILED, "too_many_requests"),
    "5000": (ReceiptKind.FAILED, "unknown_error"),
    "5001": (ReceiptKind.FAILED, "carrier_unavailable"),
    "5002": (ReceiptKind.DEFERRED, "no_report_from_carrier"),  # it may well have arrived: the status stays
    "9999": (ReceiptKind.FAILED, "unknown_error"),
}

_CODE = re.compile(r"\s*(\d{4})\b")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AcsSmsSettings:
    """One Communication Services resource and its senders: numbers, short codes or alphanumeric senders."""

    resource: Resource
    senders: SmsSenders
    receipt_keys: Sequence[str] = field(repr=False)


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "AcsSms | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no ACS_SMS_ setting is present.

    ACS_SMS_BASE_URL may be left out: the connection string names the address.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(settings, "ACS_SMS_CONNECTION", "ACS_SMS_FROM", "ACS_SMS_RECEIPT_KEY")
    if own is None:
        return None
    return AcsSms(
        AcsSmsSettings(
            resource=resource_of(
                "ACS_SMS_CONNECTION", own["ACS_SMS_CONNECTION"], settings.get("ACS_SMS_BASE_URL", "").strip()
            ),
            senders=senders_of("ACS_SMS_FROM", own["ACS_SMS_FROM"]),
            receipt_keys=receipt_keys("ACS_SMS_RECEIPT_KEY", own["ACS_SMS_RECEIPT_KEY"]),
        ),
        http,
    )


class AcsSms:
    """Carries SMS; posts receipts and customers' replies through Event Grid."""

    name = "acs_sms"
    channel = "sms"

    def __init__(self, settings: AcsSmsSettings, http: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        self.capabilities = replace(CAPABILITIES, number_prefixes=settings.senders.prefixes)
        self._resource = settings.resource
        self._senders = settings.senders
        self._receipt_keys = settings.receipt_keys
        self._http = http
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one SMS to the resource.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        body = orjson.dumps(self._request(message))
        headers = self._resource.signed_headers("POST", PATH, body, self._now()) | {"content-type": "application/json"}
        answer = await self._http.post(self._resource.url + PATH, headers=headers, body=body, timeout=CALL_TIMEOUT)
        if not is_success(answer):
            raise failure_of(self.name, STATUSES, answer, self._now())
        item = _item(answer)
        if item.get("successful") is True:
            sent = item.get("messageId")
            return Accepted(sent if isinstance(sent, str) else None)
        raise self._failure(item, answer)

    def _request(self, message: OutboundMessage) -> Mapping[str, object]:
        if not isinstance(message.address, PhoneNumber) or not isinstance(message.content, SmsContent):
            raise Rejected("wrong_channel")
        reference = AttemptRef.parse(message.attempt_id)
        if reference is None:
            raise Rejected("invalid_request")
        sender = self._senders.sender_for(message.address.e164)
        if sender is None:
            raise error_of((Rejected, "country_not_enabled"))
        recipient = {
            "to": message.address.e164,
            "repeatabilityRequestId": str(reference.as_uuid),
            "repeatabilityFirstSent": format_datetime(self._now(), usegmt=True),
        }
        return {
            "from": sender,
            "smsRecipients": [recipient],
            "message": message.content.text,
            "smsSendOptions": {"enableDeliveryReport": True, "tag": message.attempt_id},
        }

    def _failure(self, item: Mapping[str, object], answer: HttpAnswer) -> ProviderError:
        status = item.get("httpStatusCode")
        if not isinstance(status, int):
            return InDoubt("malformed_answer")
        return failure_of(self.name, ITEM_STATUSES, HttpAnswer(status, answer.headers, b""), self._now())

    def verify(self, request: ReceiptRequest, now: datetime) -> None:  # noqa: ARG002 - Event Grid signs no time
        """Nothing when the request carries the receipt key. Raises ReceiptNotAuthentic in every other case."""
        verify_key(request, self._receipt_keys)

    def handshake(self, request: ReceiptRequest) -> bytes | None:
        """What Event Grid wants to hear before its first event; None when it asks nothing."""
        return handshake_answer(request)

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The delivery reports in a verified request, without those about no attempt of ours.

        Raises:
            InvalidSubmission: the body is no list of events.
        """
        receipts = (_receipt(event) for event in events_of(request) if event.kind == REPORT)
        return [receipt for receipt in receipts if receipt]

    def replies(self, request: ReceiptRequest) -> Sequence[Reply]:
        """What customers wrote, in a verified request.

        Raises:
            InvalidSubmission: the body is no list of events.
        """
        replies = (_reply(event) for event in events_of(request) if event.kind == INCOMING)
        return [reply for reply in replies if reply]

    def reply_document(self, text: str | None) -> tuple[bytes, str] | None:  # noqa: ARG002 - Event Grid passes nothing on
        """Nothing: an answer to Event Grid reaches no customer."""
        return None


def _reply(event: GridEvent) -> Reply | None:
    data = event.data
    sender, to = number_of(str(data.get("from") or "")), number_of(str(data.get("to") or ""))
    if sender is None:
        return None
    # A short code has no plus sign.
    number = to.e164 if to else str(data.get("to") or "")
    return Reply(str(data.get("messageId") or ""), sender, number, str(data.get("message") or ""), _moment(event))


def _item(answer: HttpAnswer) -> Mapping[str, object]:
    """The one recipient's part of a 202. Raises InDoubt when there is none: somebody else may have answered."""
    items = json_object(answer.body).get("value")
    item = items[0] if isinstance(items, list) and items else None
    if not isinstance(item, dict):
        raise InDoubt("malformed_answer")
    return item


def _receipt(event: GridEvent) -> Receipt | None:
    data = event.data
    tag = data.get("tag") or data.get("Tag")  # documented in both spellings
    if not isinstance(tag, str) or AttemptRef.parse(tag) is None:
        return None
    status = str(data.get("deliveryStatus") or "")
    code = _CODE.match(str(data.get("deliveryStatusDetails") or ""))
    kind, reason = _meaning(status, code[1] if code else "")
    sent = data.get("messageId")
    return Receipt(
        attempt_id=tag,
        kind=kind,
        occurred_at=_moment(event),
        raw_code=f"{status}:{code[1]}" if code and kind is not ReceiptKind.DELIVERED else status,
        reason=reason,
        provider_message_id=sent if isinstance(sent, str) else None,
    )


def _meaning(status: str, code: str) -> tuple[ReceiptKind, str | None]:
    kind = STATUSES_OF_REPORTS.get(status.lower())
    if kind is None:
        _warn_of_unknown(status)
        return ReceiptKind.UNKNOWN, None
    if kind is ReceiptKind.DELIVERED:
        return kind, None
    if code not in CODES:
        if code:
            _warn_of_unknown(code)
        return kind, None
    return CODES[code]


def _moment(event: GridEvent) -> datetime:
    try:
        moment = datetime.fromisoformat(str(event.data.get("receivedTimestamp")))
    except ValueError:
        return event.at
    return moment if moment.tzinfo else event.at


def _warn_of_unknown(code: str) -> None:
    _logger.warning("provider sent an unknown receipt code", extra={"provider": AcsSms.name, "code": code[:64]})
