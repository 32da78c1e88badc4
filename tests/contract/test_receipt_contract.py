"""What every provider that posts receipts does alike: only what its vendor signed is read, and nothing is guessed."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from shared.domain.errors import InvalidSubmission, ReceiptNotAuthentic
from shared.domain.receipt import ReceiptKind
from tests.contract.provider_contracts import CONTRACTS, NOW, WITH_RECEIPTS, build, twilio_receipt


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_an_authentic_receipt_is_read_and_read_alike_again(name):
    contract = CONTRACTS[name].receipts
    provider = build(name)
    request = contract.sign(contract.sample, NOW)

    provider.verify(request, NOW)
    first, second = provider.parse(request), provider.parse(request)

    assert tuple(receipt.kind for receipt in first) == contract.kinds
    assert [replace(r, occurred_at=NOW) for r in first] == [replace(r, occurred_at=NOW) for r in second]
    assert {receipt.attempt_id.split("~")[0] for receipt in first} == {receipt.attempt_id for receipt in first}


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("name", [name for name in WITH_RECEIPTS if CONTRACTS[name].receipts.signs_body])
def test_a_flipped_bit_of_the_body_is_a_forgery(name):
    contract = CONTRACTS[name].receipts
    provider, request = build(name), contract.sign(contract.sample, NOW)

    for bit in range(0, len(request.body) * 8, 7):
        forged = flipped(request.body, bit)
        if name.startswith("twilio") and sorted(parse_qsl(forged.decode("latin-1"), keep_blank_values=True)) == sorted(
            parse_qsl(request.body.decode(), keep_blank_values=True)
        ):
            continue  # Twilio signs the fields, not their spelling: %2B and %2b are the same
        with pytest.raises(ReceiptNotAuthentic):
            provider.verify(replace(request, body=forged), NOW)


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_a_flipped_bit_of_any_header_is_a_forgery(name):
    contract = CONTRACTS[name].receipts
    provider, request = build(name), contract.sign(contract.sample, NOW)

    for header, value in request.headers.items():
        for bit in range(len(value) * 8):
            forged = flipped(value.encode(), bit).decode("latin-1")
            if forged.rstrip("=") == value.rstrip("="):
                continue
            with pytest.raises(ReceiptNotAuthentic):
                provider.verify(replace(request, headers={**request.headers, header: forged}), NOW)


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_a_missing_header_is_a_forgery(name):
    contract = CONTRACTS[name].receipts
    provider, request = build(name), contract.sign(contract.sample, NOW)

    for header in request.headers:
        headers = {other: value for other, value in request.headers.items() if other != header}
        with pytest.raises(ReceiptNotAuthentic):
            provider.verify(replace(request, headers=headers), NOW)


@pytest.mark.parametrize("name", [name for name in WITH_RECEIPTS if CONTRACTS[name].receipts.signs_time])
@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_receipt_of_another_time_is_refused(name, seconds):
    contract = CONTRACTS[name].receipts
    request = contract.sign(contract.sample, NOW)

    build(name).verify(request, NOW + timedelta(seconds=seconds - (1 if seconds > 0 else -1)))
    with pytest.raises(ReceiptNotAuthentic):
        build(name).verify(request, NOW + timedelta(seconds=seconds))


def test_a_changed_url_is_a_forgery_at_twilio():
    request = twilio_receipt(CONTRACTS["twilio"].receipts.sample, NOW)

    for bit in range(len(request.path_and_query) * 8):
        forged = flipped(request.path_and_query.encode(), bit).decode("latin-1")
        with pytest.raises(ReceiptNotAuthentic):
            build("twilio").verify(replace(request, path_and_query=forged), NOW)


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_an_unknown_code_is_kept_and_warned_of_once(name, caplog):
    contract = CONTRACTS[name].receipts

    (receipt,) = build(name).parse(contract.sign(contract.unknown, NOW))

    assert (receipt.kind, receipt.raw_code) == (ReceiptKind.UNKNOWN, "teleported")
    assert [record.code for record in caplog.records] == ["teleported"]


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_a_receipt_about_no_attempt_of_ours_is_left_out(name):
    contract = CONTRACTS[name].receipts

    assert build(name).parse(contract.not_ours(contract.sign(contract.sample, NOW))) == []


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_a_malformed_receipt_is_the_senders_mistake(name):
    contract = CONTRACTS[name].receipts

    with pytest.raises(InvalidSubmission) as caught:
        build(name).parse(contract.sign(contract.malformed, NOW))

    assert caught.value.status == 400
