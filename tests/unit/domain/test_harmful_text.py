import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.harmful_text import DETAIL, NAME_DETAIL, harmful_fields, is_harmful, is_suspect, one_line

HARMFUL = [
    *(chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"),
    "\x7f",
    *map(chr, range(0x80, 0xA0)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
]
HARMLESS = [
    "\t",
    "\n",
    "\r",
    " ",
    "\\b",
    "\\u202e",
    "\u200d",
    "\u200e",
    "\xa0",
    "\u2029",
    "\u2070",
    "\xe9",
    "\U0001f600",
]


@pytest.mark.parametrize("character", HARMFUL, ids=ascii)
def test_a_harmful_character_is_found_escaped_and_not(character: str):
    value = {"data": {"name": f"Ada{character}"}}

    for body in (json.dumps(value).encode(), orjson.dumps(value), json.dumps(value, ensure_ascii=False).encode()):
        assert is_suspect(body)
    assert [(each.pointer, each.detail) for each in harmful_fields(value)] == [("/data/name", DETAIL)]


@pytest.mark.parametrize("character", HARMLESS, ids=ascii)
def test_what_people_write_is_not_harmful(character: str):
    assert not is_harmful(character)
    assert harmful_fields({"a": [character], character: None}) == []


@given(
    st.recursive(
        st.text() | st.none() | st.integers(0, 9), lambda part: st.lists(part) | st.dictionaries(st.text(), part)
    )
)
def test_nothing_harmful_passes_the_first_look(value: object):
    harmful = harmful_fields(value)  # type: ignore[arg-type]

    if harmful:
        assert is_suspect(json.dumps(value).encode())
        assert is_suspect(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def test_names_are_looked_at_and_not_repeated():
    found = harmful_fields({"data": {"a/b~": [{"x\u202e": "\u202e"}]}})

    assert [(each.pointer, each.detail) for each in found] == [("/data/a~1b~0/0", NAME_DETAIL)]


def test_depth_and_number_are_bounded():
    deep: object = "\x00"
    for _ in range(5000):
        deep = [deep]

    assert len(harmful_fields(deep)) == 1  # type: ignore[arg-type]
    assert len(harmful_fields(["\x00"] * 1000)) == 50


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Your order\r\nBcc: all@example.com", "Your order Bcc: all@example.com"),
        (" a\t b\u2028c ", "a b c"),
        ("pay\u202egpj.exe", "paygpj.exe"),
        ("pay\u200bpal \ufeff\x85\x1b[31m", "paypal [31m"),
        ("Gr\xfc\xdfe \U0001f600", "Gr\xfc\xdfe \U0001f600"),
    ],
)
def test_a_line_shows_all_that_is_in_it(text: str, line: str):
    assert one_line(text) == line
