"""Putting each original's values in the tokens' place gives the original back, whatever the texts are."""

from collections.abc import Iterator, Mapping
from itertools import islice, permutations

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.common_text import find_common_texts
from shared.domain.content import RenderedText

SECRET = "5ec7e7"
# Texts made of what could be taken for a token, or for a part of one.
_PARTS = st.sampled_from(
    ["", "-", ";", "0;", ".0;", ".1;", SECRET, f"-{SECRET}", f"-{SECRET}.0;", f"{SECRET}.1;", "ä", "€", "x"]
)
_pieces = st.lists(_PARTS | st.text(max_size=6), min_size=1, max_size=4).map("".join)


@st.composite
def _originals(draw: st.DrawFn) -> list[list[list[str]]]:
    """Two to four originals of one or two texts that are alike in shape; some pieces are the same in all."""
    count = draw(st.integers(2, 4))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=2))
    originals: list[list[list[str]]] = [[[] for _ in lengths] for _ in range(count)]
    for text, length in enumerate(lengths):
        for _ in range(length):
            same = draw(st.booleans())
            column = [draw(_pieces)] * count if same else draw(st.lists(_pieces, min_size=count, max_size=count))
            for original, piece in zip(originals, column, strict=True):
                original[text].append(piece)
    return originals


def _draws() -> Iterator[str]:
    yield SECRET
    yield from (f"a{number}b" for number in range(10_000))


def _texts(*pieces: list[str]) -> list[RenderedText]:
    return [RenderedText.of(each) for each in pieces]


def _filled(text: str, values: Mapping[str, str], order: list[str]) -> str:
    for token in order:
        text = text.replace(token, values[token])
    return text


@given(_originals())
def test_every_original_comes_back_in_whatever_order_the_tokens_are_replaced(
    originals: list[list[list[str]]],
) -> None:
    common = find_common_texts([_texts(*pieces) for pieces in originals], draw=_draws().__next__)

    for original, values in zip(originals, common.values, strict=True):
        for order in islice(permutations(values), 24):
            filled = [_filled(text, values, list(order)) for text in common.texts]
            assert filled == ["".join(pieces) for pieces in original]


def test_what_all_have_is_said_once_and_a_value_in_several_places_has_one_token() -> None:
    common = find_common_texts(
        [_texts(["Dear ", "Ann", ", order ", "1", "."], ["1"]), _texts(["Dear ", "Bob", ", order ", "2", "."], ["2"])],
        draw=lambda: "Q",
    )

    assert common.texts == ("Dear -Q.0;, order -Q.1;.", "-Q.1;")
    assert common.values == ({"-Q.0;": "Ann", "-Q.1;": "1"}, {"-Q.0;": "Bob", "-Q.1;": "2"})


def test_equal_texts_need_no_token() -> None:
    common = find_common_texts([["Hello"], ["Hello"]])

    assert (common.texts, common.values) == (("Hello",), ({}, {}))


def test_a_secret_that_the_texts_contain_is_drawn_again() -> None:
    draws = iter(["in-a-value", "across", "beside", "fresh"])

    common = find_common_texts(
        [_texts(["acr", "in-a-value"]), _texts(["acr", "oss"])], beside=["beside me"], draw=draws.__next__
    )

    assert common.texts == ("acr-fresh.0;",)


def test_nobody_can_guess_the_tokens() -> None:
    originals = [["a"], ["b"]]

    tokens = {find_common_texts(originals).texts for _ in range(100)}

    assert len(tokens) == 100
