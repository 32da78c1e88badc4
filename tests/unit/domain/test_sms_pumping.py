from shared.domain.sms_pumping import KNOWN_AFTER, Receipts, is_new

NOW = 1_000_000.0
YESTERDAY = NOW - KNOWN_AFTER.total_seconds() - 1


def test_country_is_new_until_it_was_sent_to_for_a_day() -> None:
    first_sent = {"49": YESTERDAY, "994": NOW - 60}

    assert is_new("994", first_sent, NOW)
    assert is_new("44", first_sent, NOW)
    assert not is_new("49", first_sent, NOW)


def test_nothing_is_new_to_a_tenant_that_has_just_begun() -> None:
    assert not is_new("49", {"49": NOW}, NOW)
    assert not is_new("994", {"49": NOW, "994": NOW}, NOW)


def test_receipts_look_pumped_when_there_are_many_and_hardly_any_is_good() -> None:
    assert Receipts(delivered=10, failed=90).look_pumped
    assert not Receipts(delivered=40, failed=60).look_pumped
    assert not Receipts(delivered=0, failed=20).look_pumped
    assert not Receipts().look_pumped
