"""Email by Azure Communication Services: takes attempts, gives acceptances; takes Event Grid posts, gives receipts.

Email send 2023-03-31: https://learn.microsoft.com/rest/api/communication/email/email/send
Events: https://learn.microsoft.com/azure/event-grid/communication-services-email-events
Custom headers: https://learn.microsoft.com/azure/communication-services/concepts/email/email-headers
Limits: https://learn.microsoft.com/azure/communication-services/concepts/service-limits (all read 2026-11-25)

An event names the message by its operation id and, newer ones, by its Message-ID; there is no field of ours in it. So
both are made from the attempt id: the operation id is the tracking id's 128 bits with the attempt's number in its top
six, which are zero until the year 2109; the Message-ID spells the attempt id out. An operation id tells no tenant;
who reads such a receipt has to find the tenant by the tracking id.

Unverified against the real service: that it keeps our Message-ID (documented; a published event shows a foreign one
kept); that an operation id need not be of a UUID version; the error codes, which come from published projects and not
from Microsoft; that 409 means the operation id is known, so that the first copy of the call was taken; that a look-up
answers 404 for an operation that never was. An operation that is *running* counts as taken.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from shared.domain.address import EmailAddress
from shared.domain.capabilities import Capabilities
from shared.domain.content import EmailContent
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled
from shared.domain.identifiers import AttemptId, AttemptRef
from shared.domain.look_up import AttemptInDoubt, Finding, GivenUp, NotTaken, Taken
from shared.domain.receipt import Receipt, ReceiptKind
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.communication_services import Resource, resource_of
from shared.providers.event_grid import GridEvent, events_of, handshake_answer, receipt_keys, verify_key
from shared.providers.internet_message import attempt_of, message_id
from shared.providers.list_unsubscribe import unsubscribe_headers
from shared.providers.provider_answer import (
    Failure,
    error_of,
    failure_of,
    is_success,
    json_object,
    retry_after,
    utc_now,
)
from shared.providers.provider_settings import own_settings

CALL_TIMEOUT = timedelta(seconds=20)
API_VERSION = "api-version=2023-03-31"
OPERATION_KNOWN = 409
OPERATION_UNKNOWN = 404
CAPABILITIES = Capabilities(max_message_bytes=9 * 1024 * 1024)  # of 10 MB for the whole request; JSON escapes some more

STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_request"),
    401: (Misconfigured, "authentication_failed"),
    403: (Misconfigured, "permission_refused"),
    404: (Misconfigured, "sender_not_linked"),
    413: (Rejected, "content_too_large"),
    429: (Throttled, "too_many_requests"),
}
# ``error.code`` of an answer or of an operation that failed; it says more than the status.
CODES: Mapping[str, Failure] = {
    "Denied": (Misconfigured, "authentication_failed"),
    "DomainNotLinked": (Misconfigured, "sender_not_linked"),
    "EmailDropped": (Rejected, "dropped"),
    "EmailDroppedAllRecipientsSuppressed": (Rejected, "suppressed_by_provider"),
    "InvalidSenderUserName": (Misconfigured, "invalid_sender"),
    "TooManyRequests": (Throttled, "too_many_requests"),
    "Unauthorized": (Misconfigured, "authentication_failed"),
}
DELIVERY = "Microsoft.Communication.EmailDeliveryReportReceived"
ENGAGEMENT = "Microsoft.Communication.EmailEngagementTrackingReportReceived"
# A delivery report's status, in lower case: Microsoft's pages spell it both ways.
REPORTS: Mapping[str, ReceiptKind] = {
    "delivered": ReceiptKind.DELIVERED,
    "expanded": ReceiptKind.SENT,  # a distribution list was unfolded; what became of its members is not told
    "bounced": ReceiptKind.BOUNCED,
    "filteredspam": ReceiptKind.BOUNCED,
    "quarantined": ReceiptKind.BOUNCED,
    "suppressed": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
}
REASONS: Mapping[str, str] = {
    "bounced": "hard_bounce",
    "filteredspam": "spam_content",
    "quarantined": "quarantined",
    "suppressed": "suppressed_by_provider",
    "failed": "dropped",
}
ENGAGEMENTS: Mapping[str, ReceiptKind] = {"view": ReceiptKind.OPENED, "click": ReceiptKind.CLICKED}
OPERATION_ENDED_BADLY = {"Failed", "Canceled"}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AcsEmailSettings:
    """One Communication Services resource. ``from_address`` is a sender of a domain linked to it, without a name."""

    resource: Resource
    from_address: str
    receipt_keys: Sequence[str] = field(repr=False)


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "AcsEmail | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no ACS_EMAIL_ setting is present.

    ACS_EMAIL_BASE_URL may be left out: the connection string names the address.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(settings, "ACS_EMAIL_CONNECTION", "ACS_EMAIL_FROM_ADDRESS", "ACS_EMAIL_RECEIPT_KEY")
    if own is None:
        return None
    sender = own["ACS_EMAIL_FROM_ADDRESS"]
    if sender.count("@") != 1 or not sender.isascii() or any(each in sender for each in "<> "):
        raise ValueError("ACS_EMAIL_FROM_ADDRESS is no plain email address")
    return AcsEmail(
        AcsEmailSettings(
            resource=resource_of(
                "ACS_EMAIL_CONNECTION", own["ACS_EMAIL_CONNECTION"], settings.get("ACS_EMAIL_BASE_URL", "").strip()
            ),
            from_address=sender,
            receipt_keys=receipt_keys("ACS_EMAIL_RECEIPT_KEY", own["ACS_EMAIL_RECEIPT_KEY"]),
        ),
        http,
    )


class AcsEmail:
    """Carries email; posts receipts through Event Grid; can be asked about attempts."""

    name = "acs_email"
    channel = "email"
    capabilities = CAPABILITIES

    def __init__(self, settings: AcsEmailSettings, http: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        self._resource = settings.resource
        self._sender = settings.from_address
        self._domain = settings.from_address.partition("@")[2]
        self._receipt_keys = settings.receipt_keys
        self._http = http
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one email to the resource.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        path, body = f"/emails:send?{API_VERSION}", orjson.dumps(self._mail(message))
        operation = str(_operation(message.attempt_id))
        headers = self._resource.signed_headers("POST", path, body, self._now())
        headers |= {"content-type": "application/json", "operation-id": operation, "x-ms-client-request-id": operation}
        answer = await self._http.post(self._resource.url + path, headers=headers, body=body, timeout=CALL_TIMEOUT)
        if answer.status == OPERATION_KNOWN:
            return Accepted(operation)  # only this attempt has this operation id
        if not is_success(answer):
            raise self._failure(answer)
        if not json_object(answer.body).get("id"):
            raise InDoubt("malformed_answer")  # something between us and the resource may have answered
        return Accepted(operation)

    def _mail(self, message: OutboundMessage) -> Mapping[str, object]:
        if not isinstance(message.address, EmailAddress) or not isinstance(message.content, EmailContent):
            raise Rejected("wrong_channel")
        content = message.content
        parts = (("plainText", content.text), ("html", content.html))
        return {
            "senderAddress": self._sender,
            "recipients": {"to": [{"address": message.address.mailbox}]},
            "content": {
                "subject": " ".join(content.subject.splitlines()),
                **{name: text for name, text in parts if text},
            },
            "headers": {
                "Message-ID": message_id(message.attempt_id, self._domain),
                "X-CNS-Attempt-Id": message.attempt_id,
                **unsubscribe_headers(message.unsubscribe_url),
            },
        }

    def _failure(self, answer: HttpAnswer) -> ProviderError:
        listed = CODES.get(_error_code(json_object(answer.body)))
        if listed:
            return error_of(listed, retry_after(answer.headers, self._now()))
        return failure_of(self.name, STATUSES, answer, self._now())

    async def find_attempt(self, attempt: AttemptInDoubt) -> Finding:
        """What the resource knows of the attempt's operation."""
        operation = str(_operation(attempt.attempt_id))
        path = f"/emails/operations/{operation}?{API_VERSION}"
        headers = self._resource.signed_headers("GET", path, b"", self._now())
        answer = await self._http.get(self._resource.url + path, headers=headers, timeout=CALL_TIMEOUT)
        if answer.status == OPERATION_UNKNOWN:
            return NotTaken()
        if not is_success(answer):
            raise self._failure(answer)
        found = json_object(answer.body)
        if not found.get("status"):
            raise InDoubt("malformed_answer")
        if found["status"] in OPERATION_ENDED_BADLY:
            return GivenUp(CODES.get(_error_code(found), CODES["EmailDropped"])[1])
        return Taken(operation)

    def verify(self, request: ReceiptRequest, now: datetime) -> None:  # noqa: ARG002 - Event Grid signs no time
        """Nothing when the request carries the receipt key. Raises ReceiptNotAuthentic in every other case."""
        verify_key(request, self._receipt_keys)

    def handshake(self, request: ReceiptRequest) -> bytes | None:
        """What Event Grid wants to hear before its first event; None when it asks nothing."""
        return handshake_answer(request)

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The events in a verified request, without those about no attempt of ours.

        Raises:
            InvalidSubmission: the body is no list of events.
        """
        receipts = (_receipt(event) for event in events_of(request))
        return [receipt for receipt in receipts if receipt]


def _operation(attempt_id: AttemptId) -> UUID:
    reference = AttemptRef.parse(attempt_id)
    if reference is None:
        raise Rejected("invalid_request")
    return reference.as_uuid


def _error_code(document: Mapping[str, object]) -> str:
    error = document.get("error")
    return str(error.get("code") or "") if isinstance(error, dict) else ""


def _receipt(event: GridEvent) -> Receipt | None:
    if event.kind == DELIVERY:
        table, code, moment = REPORTS, event.data.get("status"), _moment(event, "deliveryAttemptTimestamp")
    elif event.kind == ENGAGEMENT:
        code = event.data.get("engagementType") or event.data.get("engagement")
        table, moment = ENGAGEMENTS, _moment(event, "userActionTimestamp")
    else:
        return None
    attempt = _attempt(event.data)
    if attempt is None:
        return None
    raw_code = str(code or "")
    if raw_code.lower() not in table:
        _logger.warning(
            "provider sent an unknown receipt code", extra={"provider": AcsEmail.name, "code": raw_code[:64]}
        )
    return Receipt(
        attempt_id=attempt.attempt_id,
        kind=table.get(raw_code.lower(), ReceiptKind.UNKNOWN),
        occurred_at=moment,
        raw_code=raw_code,
        reason=REASONS.get(raw_code.lower()) if table is REPORTS else None,
        provider_message_id=str(event.data.get("messageId") or "") or None,
    )


def _attempt(data: Mapping[str, object]) -> AttemptRef | None:
    spelt_out = attempt_of(data.get("internetMessageId"))
    if spelt_out:
        return spelt_out
    try:
        return AttemptRef.from_uuid(UUID(str(data.get("messageId"))), AcsEmail.channel)
    except ValueError:
        return None


def _moment(event: GridEvent, name: str) -> datetime:
    # The event's own time is when Event Grid got it; Microsoft spells the field ...Timestamp and ...TimeStamp.
    for spelling in (name, name.replace("Timestamp", "TimeStamp")):
        try:
            moment = datetime.fromisoformat(str(event.data.get(spelling)))
        except ValueError:
            continue
        if moment.tzinfo:
            return moment
    return event.at
