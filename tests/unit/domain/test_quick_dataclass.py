"""A quick dataclass is in all but the assignment what a frozen one is."""

from dataclasses import dataclass, field, fields, replace

from shared.domain.quick_dataclass import quick_dataclass


@quick_dataclass(frozen=True, slots=True)
class Quick:
    name: str
    labels: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    labels: tuple[str, ...] = field(default=(), repr=False)


def test_it_compares_hashes_and_shows_itself_by_its_fields() -> None:
    assert Quick("a") == Quick("a") != Quick("b")
    assert len({Quick("a"), Quick("a"), Quick("b")}) == 2
    assert hash(Quick("a", ("x",))) == hash(Frozen("a", ("x",)))
    assert repr(Quick("a")) == repr(Frozen("a")).replace("Frozen", "Quick")


def test_it_has_slots_and_can_be_replaced_and_matched() -> None:
    match replace(Quick("a"), labels=("x",)):
        case Quick(name, labels):
            assert (name, labels) == ("a", ("x",))
    assert not hasattr(Quick("a"), "__dict__")
    assert [each.name for each in fields(Quick)] == [each.name for each in fields(Frozen)]
