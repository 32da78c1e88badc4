"""What the customer's app saw of a push, told by the customer's mobile backend: takes its posts, gives receipts.

Push providers report nothing by themselves. What they carry to a device holds the attempt id, and the backend relays
what the app saw, as a Standard Webhook to any push provider's receipt address::

    {"type": "push.acknowledged", "timestamp": "…Z",
     "data": {"attemptId": "…", "notificationId": "…", "status": "delivered" | "failed" | "opened"}}

The attempt id may be that of one device (``~1``, ``~2`` … behind it); the receipt counts for the attempt.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from shared.domain.errors import FieldError, InvalidSubmission, ReceiptNotAuthentic
from shared.domain.identifiers import AttemptRef
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.targets import attempt_of_target
from shared.domain.webhook_signature import SignatureInvalid, verify
from shared.ports import ReceiptRequest
from shared.providers.provider_answer import json_object

ACKNOWLEDGEMENTS: Mapping[str, ReceiptKind] = {
    "delivered": ReceiptKind.DELIVERED,
    "failed": ReceiptKind.FAILED,
    "opened": ReceiptKind.OPENED,
}

_logger = logging.getLogger(__name__)


class Acknowledgements:
    """Reads the acknowledgements that are posted to one provider's address."""

    def __init__(self, provider: str, secrets: Sequence[str]) -> None:
        self._provider = provider
        self._secrets = secrets

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        """Nothing when the mobile backend signed the request with our secret at most five minutes ago.

        Raises:
            ReceiptNotAuthentic: in every other case.
        """
        try:
            verify(self._secrets, request.headers, request.body, now)
        except SignatureInvalid as error:
            raise ReceiptNotAuthentic("the signature is not the mobile backend's") from error

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The one event in a verified request; none when it is about no attempt of ours.

        Raises:
            InvalidSubmission: the body is not the document shown above.
        """
        document = json_object(request.body)
        acknowledged = document.get("data")
        if not isinstance(acknowledged, dict):
            raise _malformed("/data", "missing")
        attempt_id = attempt_of_target(str(acknowledged.get("attemptId") or ""))
        if AttemptRef.parse(attempt_id) is None:
            return []
        status = acknowledged.get("status")
        if not isinstance(status, str):
            raise _malformed("/data/status", "missing")
        if status not in ACKNOWLEDGEMENTS:
            _logger.warning("provider sent an unknown code", extra={"provider": self._provider, "code": status[:64]})
        message_id = acknowledged.get("notificationId")
        return [
            Receipt(
                attempt_id=attempt_id,
                kind=ACKNOWLEDGEMENTS.get(status, ReceiptKind.UNKNOWN),
                occurred_at=_instant(document.get("timestamp")),
                raw_code=status,
                reason="device_reported_failure" if status == "failed" else None,
                provider_message_id=message_id if isinstance(message_id, str) else None,
            )
        ]


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise _malformed("/timestamp", "not an RFC 3339 time")
    return instant.astimezone(UTC)


def _malformed(pointer: str, detail: str) -> InvalidSubmission:
    return InvalidSubmission([FieldError(pointer, detail)], status=400)
