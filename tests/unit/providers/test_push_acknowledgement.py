import json
from datetime import UTC, datetime

import pytest

from shared.domain.errors import InvalidSubmission
from shared.domain.receipt import ReceiptKind
from shared.ports import ReceiptRequest
from shared.providers.push_acknowledgement import Acknowledgements

ATTEMPT = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.push.1"


def read(timestamp="2026-11-24T12:30:00Z", attempt_id=ATTEMPT, **data):
    document = {"type": "push.acknowledged", "timestamp": timestamp, "data": {"attemptId": attempt_id, **data}}
    (receipt,) = Acknowledgements("push-post", ()).parse(ReceiptRequest("", {}, {}, json.dumps(document).encode()))
    return receipt


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        ("delivered", ReceiptKind.DELIVERED, None),
        ("failed", ReceiptKind.FAILED, "device_reported_failure"),
        ("opened", ReceiptKind.OPENED, None),
    ],
)
def test_reads_an_acknowledgement(status, kind, reason):
    receipt = read(status=status, notificationId="22-33-1", attempt_id=f"{ATTEMPT}~11")

    assert (receipt.attempt_id, receipt.kind, receipt.reason) == (ATTEMPT, kind, reason)
    assert (receipt.raw_code, receipt.provider_message_id) == (status, "22-33-1")


def test_reads_the_time_of_any_zone():
    assert read("2026-11-24T14:30:00+02:00", status="opened").occurred_at == datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [None, 7, "soon", "2026-11-24T12:30:00"])
def test_a_time_without_zone_or_sense_is_malformed(timestamp):
    with pytest.raises(InvalidSubmission):
        read(timestamp, status="opened")
