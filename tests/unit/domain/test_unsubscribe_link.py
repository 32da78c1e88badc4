"""A token is read back as it was made, and nobody else can make one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.address import EmailAddress
from shared.domain.suppressed_address import AddressMark, mark_of
from shared.domain.unsubscribe_link import MAX_TOKEN_LENGTH, UnsubscribeLink, key_of, read_token, token_of

KEY = key_of(b"secret")
LINK = UnsubscribeLink("shop", "email", "marketing", AddressMark(7, "ab" * 12))
TOKEN = token_of(LINK, KEY)


def test_a_token_says_what_it_was_made_of_and_needs_no_escape():
    assert read_token(TOKEN, KEY) == LINK
    assert len(TOKEN) < 200
    assert all(character.isalnum() or character in "-_." for character in TOKEN)


def test_a_token_names_no_address():
    mark = mark_of(b"secret", "shop", "email", EmailAddress("ada@example.com"), "marketing")
    assert mark is not None

    token = token_of(UnsubscribeLink("shop", "email", "marketing", mark), KEY)

    assert "ada" not in token
    assert read_token(token, KEY) is not None


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_changed_token_says_anything_else(place: int, character: str):
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]

    assert read_token(changed, KEY) in {None, LINK}


@pytest.mark.parametrize("token", ["", ".", "1..", "1.YQ.YQ", "2." + TOKEN[2:], "é" * 9, "1." + "a" * MAX_TOKEN_LENGTH])
def test_what_we_never_made_is_nothing(token: str):
    assert read_token(token, KEY) is None


def test_a_token_of_another_secret_is_nothing():
    assert read_token(token_of(LINK, key_of(b"other")), KEY) is None


def test_marks_of_a_category_and_of_the_channel_differ():
    address = EmailAddress("ada@example.com")

    assert mark_of(b"s", "shop", "email", address) != mark_of(b"s", "shop", "email", address, "marketing")
