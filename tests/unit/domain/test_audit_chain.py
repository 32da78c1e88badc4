from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.audit_chain import (
    AuditEntry,
    AuditFact,
    Fault,
    FaultKind,
    Head,
    canonical_json,
    chained,
    expires_at,
    first_fault,
    head_after,
    hour_of,
    partition_of,
)
from shared.domain.identifiers import TenantId

AT = datetime(2026, 11, 24, 12, 59, 59, tzinfo=UTC)
TENANT = TenantId("shop")
PARTITION = partition_of(TENANT, AT)
LENGTH = 5


def a_fact(number: int) -> AuditFact:
    return AuditFact(
        f"event-{number}", TENANT, AT, "ops", "thing.change", f"thing-{number}", {"rate": 2.0, "n": number}
    )


def a_chain(length: int = LENGTH, follows: Sequence[Head] = ()) -> tuple[list[AuditEntry], Head]:
    entries: list[AuditEntry] = []
    head = Head(PARTITION)
    for number in range(length):
        entries.append(chained(a_fact(number), head, () if number else follows))
        head = head_after(entries[-1])
    return entries, head


def test_a_partition_is_a_tenants_hour() -> None:
    assert PARTITION == "shop:2026112412:0"
    assert hour_of(PARTITION) == datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_entries_of_a_partition_are_kept_for_90_days_after_its_hour() -> None:
    assert expires_at(PARTITION) == datetime(2026, 11, 24, 13, tzinfo=UTC) + timedelta(days=90)


@pytest.mark.parametrize("length", [0, 1, LENGTH])
def test_what_was_only_appended_is_without_fault(length: int) -> None:
    entries, head = a_chain(length, [Head("shop:2026112411:0", 3, "aa")])

    assert first_fault(entries, head, [Head(PARTITION)]) is None


@pytest.mark.parametrize("index", range(LENGTH))
@pytest.mark.parametrize(
    "edit",
    [
        lambda entry: replace(entry, fact=replace(entry.fact, actor="somebody else")),
        lambda entry: replace(entry, fact=replace(entry.fact, detail={"rate": 3})),
        lambda entry: replace(entry, fact=replace(entry.fact, at=AT + timedelta(milliseconds=1))),
        lambda entry: replace(entry, fact=replace(entry.fact, subject="another")),
        lambda entry: replace(entry, fact=replace(entry.fact, event_id="another")),
        lambda entry: replace(entry, fact=replace(entry.fact, tenant_id=TenantId("other"))),
        lambda entry: replace(entry, follows=(Head("shop:2026112410:0", 9, "bb"),)),
        lambda entry: replace(entry, hash="0" * 64),
    ],
)
def test_an_edit_is_found_where_it_was_made(index: int, edit: Callable[[AuditEntry], AuditEntry]) -> None:
    entries, head = a_chain()
    entries[index] = edit(entries[index])

    assert first_fault(entries, head) == Fault(PARTITION, index, FaultKind.EDITED)


@pytest.mark.parametrize("index", range(LENGTH - 1))
def test_an_edit_with_a_fresh_hash_is_found_at_the_next_entry(index: int) -> None:
    entries, head = a_chain()
    fact = replace(entries[index].fact, actor="somebody else")
    before = Head(PARTITION, index, entries[index].previous_hash)
    entries[index] = chained(fact, before, entries[index].follows)

    assert first_fault(entries, head) == Fault(PARTITION, index + 1, FaultKind.MISPLACED)


def test_an_edit_of_the_last_entry_with_a_fresh_hash_is_found_by_the_head() -> None:
    entries, head = a_chain()
    entries[-1] = chained(replace(entries[-1].fact, actor="x"), Head(PARTITION, LENGTH - 1, entries[-1].previous_hash))

    assert first_fault(entries, head) == Fault(PARTITION, LENGTH - 1, FaultKind.HEAD)


@pytest.mark.parametrize("index", range(LENGTH - 1))
def test_a_removed_entry_is_missed_where_it_was(index: int) -> None:
    entries, head = a_chain()
    del entries[index]

    assert first_fault(entries, head) == Fault(PARTITION, index, FaultKind.MISPLACED)


@pytest.mark.parametrize("index", range(LENGTH - 1))
def test_entries_in_another_order_are_found_at_the_first(index: int) -> None:
    entries, head = a_chain()
    first, second = entries[index], entries[index + 1]
    entries[index : index + 2] = [
        replace(second, sequence=first.sequence),
        replace(first, sequence=second.sequence),
    ]

    fault = first_fault(entries, head)

    assert fault is not None
    assert fault.index == index


@pytest.mark.parametrize("index", range(LENGTH))
def test_an_inserted_entry_is_found_where_it_stands(index: int) -> None:
    entries, head = a_chain()
    forged = replace(entries[index], fact=a_fact(99))
    entries.insert(index, forged)

    fault = first_fault(entries, head)

    assert fault is not None
    assert fault.index == index


@pytest.mark.parametrize("left", range(LENGTH))
def test_a_chain_cut_short_is_found_by_its_head(left: int) -> None:
    entries, head = a_chain()

    assert first_fault(entries[:left], head) == Fault(PARTITION, left, FaultKind.TRUNCATED)


@pytest.mark.parametrize("left", range(LENGTH))
def test_a_chain_cut_short_together_with_its_head_is_found_by_what_others_know_of_it(left: int) -> None:
    entries, head = a_chain()
    shorter = head_after(entries[left - 1]) if left else Head(PARTITION)

    assert first_fault(entries[:left], shorter) is None
    assert first_fault(entries[:left], shorter, [head]) == Fault(PARTITION, left, FaultKind.TRUNCATED)


def test_a_chain_written_anew_from_some_entry_on_is_found_by_what_others_know_of_it() -> None:
    _, known = a_chain()
    entries: list[AuditEntry] = []
    head = Head(PARTITION)
    for number in range(LENGTH):
        entries.append(chained(a_fact(number + 100), head))
        head = head_after(entries[-1])

    assert first_fault(entries, head) is None
    assert first_fault(entries, head, [known]) == Fault(PARTITION, LENGTH - 1, FaultKind.EDITED)


def test_entries_beyond_the_head_are_found_at_the_first_of_them() -> None:
    entries, _ = a_chain()

    assert first_fault(entries, Head(PARTITION)) == Fault(PARTITION, 0, FaultKind.HEAD)
    assert first_fault(entries, head_after(entries[2])) == Fault(PARTITION, 3, FaultKind.HEAD)


def test_an_entry_of_another_partition_does_not_fit_here() -> None:
    entries, head = a_chain()
    elsewhere = "shop:2026112413:0"

    assert first_fault(entries, replace(head, partition=elsewhere)) == Fault(elsewhere, 0, FaultKind.EDITED)


def test_a_number_hashes_as_the_store_gives_it_back() -> None:
    assert canonical_json({"b": 1.0, "a": [0.5, True, None], "ä": {"z": 1, "y": -2.0}}) == (
        '{"a":[0.5,true,null],"b":1,"ä":{"y":-2,"z":1}}'.encode()
    )
