from datetime import UTC, datetime

import orjson
import pytest

from shared.domain.errors import InvalidSubmission, ReceiptNotAuthentic
from shared.ports import ReceiptRequest
from shared.providers.event_grid import VALIDATION, events_of, handshake_answer, receipt_keys, verify_key

KEYS = ("new-key-of-thirty-two-characters", "old-key-of-thirty-two-characters")
EVENT = {"eventType": "E", "data": {"a": 1}, "eventTime": "2026-11-24T12:29:55.2532364Z"}
HANDSHAKE = [
    {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/00000000-0000-0000-0000-000000000000",
        "subject": "",
        "data": {
            "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
            "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/x/validate?id=0&token=1",
        },
        "eventType": VALIDATION,
        "eventTime": "2026-11-24T12:29:55.1981776Z",
        "metadataVersion": "1",
        "dataVersion": "1",
    }
]


def request(body: object = (), headers=None, query=None) -> ReceiptRequest:
    text = body if isinstance(body, bytes) else orjson.dumps(body)
    return ReceiptRequest("/api/v1/receipts/x", query or {}, headers or {}, text)


@pytest.mark.parametrize("key", KEYS)
def test_the_key_may_come_as_a_header_or_in_the_query(key):
    verify_key(request(headers={"x-cns-receipt-key": key}), KEYS)
    verify_key(request(query={"key": key}), KEYS)


@pytest.mark.parametrize("presented", ["", "x", KEYS[0][:-1], KEYS[0] + "x", " ".join(KEYS), "ключ"])
def test_any_other_key_is_a_forgery(presented):
    for forged in (request(headers={"x-cns-receipt-key": presented}), request(query={"key": presented})):
        with pytest.raises(ReceiptNotAuthentic):
            verify_key(forged, KEYS)


def test_without_a_key_it_is_a_forgery():
    with pytest.raises(ReceiptNotAuthentic):
        verify_key(request(), KEYS)


def test_a_wrong_header_is_not_saved_by_the_query():
    with pytest.raises(ReceiptNotAuthentic):
        verify_key(request(headers={"x-cns-receipt-key": "wrong"}, query={"key": KEYS[0]}), KEYS)


def test_keys_are_separated_by_spaces_and_long_enough():
    assert receipt_keys("SETTING", f"{KEYS[0]}  {KEYS[1]}") == KEYS
    with pytest.raises(ValueError, match="SETTING"):
        receipt_keys("SETTING", f"{KEYS[0]} short")


def test_a_validation_gets_its_code_back():
    assert handshake_answer(request(HANDSHAKE)) == b'{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}'


@pytest.mark.parametrize("body", [[], [EVENT], [EVENT, *HANDSHAKE]])
def test_anything_else_is_no_validation(body):
    assert handshake_answer(request(body)) is None


def test_a_validation_without_a_code_is_malformed():
    with pytest.raises(InvalidSubmission):
        handshake_answer(request([HANDSHAKE[0] | {"data": {}}]))


def test_an_event_has_its_type_its_data_and_its_time():
    (event,) = events_of(request([EVENT]))

    assert (event.kind, event.data) == ("E", {"a": 1})
    assert event.at == datetime(2026, 11, 24, 12, 29, 55, 253236, UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        [EVENT | {"data": None}],
        [EVENT | {"eventTime": "yesterday"}],
        [EVENT | {"eventTime": "2026-11-24T12:29:55"}],
        [{"eventType": "E"}],
    ],
)
def test_what_is_no_list_of_events_is_the_senders_mistake(body):
    with pytest.raises(InvalidSubmission) as caught:
        events_of(request(body))

    assert caught.value.status == 400
