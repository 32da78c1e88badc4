import re
from collections import Counter

import pytest

from shared.providers.sms_senders import senders_of

POOL = "+15017250604 +15017250605 +15017250606"


def test_one_sender_serves_everybody():
    senders = senders_of("SETTING", "+15017250604")

    assert senders.sender_for("+4915112345678") == "+15017250604"
    assert senders.prefixes is None


@pytest.mark.parametrize("sender", ["+15017250604", "54321", "Nordlicht", "2go"])
def test_a_sender_is_a_number_a_short_code_or_a_name(sender):
    assert senders_of("SETTING", sender).sender_for("+4915112345678") == sender


def test_a_vendor_may_know_others():
    service = re.compile(r"MG[0-9a-f]{32}")

    assert senders_of("SETTING", "MG" + "0" * 32, service).sender_for("+1") == "MG" + "0" * 32
    with pytest.raises(ValueError, match="SETTING"):
        senders_of("SETTING", "MG" + "0" * 32)


def test_a_number_always_gets_the_same_sender_and_all_senders_are_used():
    numbers = [f"+491511{number:07}" for number in range(300)]

    chosen = [senders_of("SETTING", POOL).sender_for(number) for number in numbers]

    assert chosen == [senders_of("SETTING", POOL).sender_for(number) for number in numbers]
    assert set(Counter(chosen)) == set(POOL.split())
    assert min(Counter(chosen).values()) > 60


def test_the_recipients_own_country_comes_first():
    senders = senders_of("SETTING", "+15017250604 +4915199999999 Nordlicht")

    assert {senders.sender_for(f"+491511{number:07}") for number in range(50)} == {"+4915199999999"}
    assert {senders.sender_for(f"+1501725{number:04}") for number in range(50)} == {"+15017250604"}


def test_the_longest_prefix_wins():
    senders = senders_of("SETTING", "Rest +49=German +49151=Mobile")

    assert senders.sender_for("+4915112345678") == "Mobile"
    assert senders.sender_for("+4930123456") == "German"
    assert senders.sender_for("+33612345678") == "Rest"


def test_without_one_for_all_only_some_numbers_have_a_sender():
    senders = senders_of("SETTING", "+49=German +44=British")

    assert senders.prefixes == ("+49", "+44")
    assert senders.sender_for("+33612345678") is None


@pytest.mark.parametrize(
    "value",
    ["+0123456789", "12", "123456789", "a-b", "thisnameislong", "49=x", "+49=", "=x", "+=x"],
)
def test_what_is_no_sender_is_named(value):
    with pytest.raises(ValueError, match="SETTING"):
        senders_of("SETTING", value)
