from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from shared.domain.identifiers import (
    AttemptRef,
    TenantId,
    TrackingId,
    bucket_of,
    bucket_of_key,
    derived_tracking_id,
    instant_of,
    is_tracking_id,
    new_tracking_id,
    partition_key,
    partition_of,
    random_bucket,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, 123000, tzinfo=UTC)
instants = st.integers(0, 253_402_214_400_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
buckets = st.integers(0, 2**16 - 1)


@given(now=instants, bucket=buckets)
def test_a_tracking_id_is_a_ulid_with_its_time_and_its_bucket_inside(now: datetime, bucket: int) -> None:
    tracking_id = new_tracking_id(now, bucket)

    foreign = ULID.from_str(tracking_id)
    assert str(foreign) == tracking_id
    assert is_tracking_id(tracking_id)
    assert foreign.milliseconds == int(now.timestamp() * 1000)
    assert int.from_bytes(foreign.bytes[6:8]) == bucket == bucket_of(tracking_id)
    assert abs(instant_of(tracking_id) - now) <= timedelta(milliseconds=1)


@given(earlier=instants, later=instants)
def test_tracking_ids_sort_by_the_time_they_were_made(earlier: datetime, later: datetime) -> None:
    earlier, later = sorted((earlier, later))
    if int(earlier.timestamp() * 1000) == int(later.timestamp() * 1000):
        return

    assert new_tracking_id(earlier, 0xFFFF) < new_tracking_id(later, 0)


def test_ids_of_the_same_millisecond_and_bucket_differ() -> None:
    assert len({new_tracking_id(NOW, 7) for _ in range(5000)}) == 5000


def test_a_derived_id_is_always_the_same_and_differs_by_item() -> None:
    ids = [derived_tracking_id(NOW, 7, "plan", index) for index in range(1000)]

    assert ids == [derived_tracking_id(NOW, 7, "plan", index) for index in range(1000)]
    assert len(set(ids)) == 1000
    assert derived_tracking_id(NOW, 7, "another plan", 0) not in ids
    assert {bucket_of(each) for each in ids} == {7}


def test_a_key_always_leads_to_the_same_bucket_and_tenants_do_not_share_it() -> None:
    secret = b"secret"

    assert bucket_of_key(secret, TenantId("a"), "k") == bucket_of_key(secret, TenantId("a"), "k")
    spread = {bucket_of_key(secret, TenantId(f"t{n}"), "k") for n in range(200)}
    assert len(spread) > 190
    assert bucket_of_key(secret, TenantId("a"), "k", 1) != bucket_of_key(secret, TenantId("a"), "k", 2)
    assert bucket_of_key(b"other", TenantId("a"), "k") != bucket_of_key(secret, TenantId("a"), "k")


def test_random_buckets_cover_the_whole_range() -> None:
    drawn = [random_bucket() for _ in range(2000)]

    assert min(drawn) < 1000
    assert max(drawn) > 64535
    assert all(0 <= bucket < 2**16 for bucket in drawn)


def test_an_id_alone_leads_to_its_partition() -> None:
    tracking_id = new_tracking_id(NOW, 0xBEEF)

    assert partition_of(TenantId("shop"), tracking_id) == partition_key(TenantId("shop"), 0xBEEF) == "shop:beef"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01M86PTPG0FM4ZR32P5GKMSV2",
        "01M86PTPG0FM4ZR32P5GKMSV2TT",
        "81M86PTPG0FM4ZR32P5GKMSV2T",
        "01m86ptpg0fm4zr32p5gkmsv2t",
        "01M86PTPG0FM4ZR32P5GKMSV2I",
        "01M86PTPG0FM4ZR32P5GKMSV2L",
        "01M86PTPG0FM4ZR32P5GKMSV2O",
        "01M86PTPG0FM4ZR32P5GKMSV2U",
        "01M86PTPG0FM4ZR32P5GKMSV2T\n",
        "../../01M86PTPG0FM4ZR32P5G",
    ],
)
def test_other_text_is_no_tracking_id(text: str) -> None:
    assert not is_tracking_id(text)


@pytest.mark.parametrize("tenant", ["shop", "a.b.c", "11111111-2222-3333-4444-555555555555"])
def test_an_attempt_id_says_whose_attempt_it_is(tenant: str) -> None:
    reference = AttemptRef(TenantId(tenant), new_tracking_id(NOW, 1), "email", 12)

    assert AttemptRef.parse(reference.attempt_id) == reference
    assert reference.attempt_id.isascii()
    assert " " not in reference.attempt_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "shop.email.1",
        "shop.not-an-id.email.1",
        f"shop.{TrackingId('01M86PTPG0FM4ZR32P5GKMSV2T')}.email.one",
        f"shop.{TrackingId('01M86PTPG0FM4ZR32P5GKMSV2T')}.email.",
        f"shop.{TrackingId('01M86PTPG0FM4ZR32P5GKMSV2T')}.email.-1",
        f"shop.{TrackingId('01M86PTPG0FM4ZR32P5GKMSV2T')}.email." + "9" * 5000,
    ],
)
def test_somebody_elses_attempt_id_is_none(text: str) -> None:
    assert AttemptRef.parse(text) is None


until_2109 = st.integers(0, 2**42 - 1).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))


@given(now=until_2109, bucket=buckets, number=st.integers(1, 63))
def test_an_attempt_can_be_read_back_from_its_uuid_but_for_its_tenant(now: datetime, bucket: int, number: int) -> None:
    attempt = AttemptRef(TenantId("acme"), new_tracking_id(now, bucket), "email", number)

    assert AttemptRef.from_uuid(attempt.as_uuid, "email") == replace(attempt, tenant=TenantId(""))


def test_a_uuid_is_always_the_same_and_differs_by_attempt() -> None:
    tracking_id = new_tracking_id(NOW, 7)
    attempts = [AttemptRef(TenantId("acme"), tracking_id, "email", number) for number in range(1, 100)]

    assert [each.as_uuid for each in attempts] == [each.as_uuid for each in attempts]
    assert len({each.as_uuid for each in attempts}) == 99


def test_a_uuid_without_an_attempts_number_is_nobodys() -> None:
    assert AttemptRef.from_uuid(UUID("00a8c99e-1234-4abc-8def-0123456789ab"), "email") is None
