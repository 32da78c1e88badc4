"""Many texts that differ in some of their pieces, as one text with tokens, and what each has in their place.

Takes texts that are alike in shape (as many of them, of as many pieces each), gives the common texts and one mapping of
tokens to values for each of the originals. Putting the values in the tokens' place gives every original
back, byte by byte and in whatever order the tokens are looked for, because

- a token begins with a sign and ends with one that it has nowhere else, so no token overlaps or begins another, and
- its random middle occurs in none of the originals, so neither a constant nor a value, nor where they meet, has one.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.content import RenderedText


@dataclass(frozen=True, slots=True)
class CommonTexts:
    """``texts`` with tokens, and for each original the values that stand for them."""

    texts: tuple[str, ...]
    values: tuple[Mapping[str, str], ...]


def find_common_texts(
    originals: Sequence[Sequence[str]],
    beside: Sequence[str] = (),
    draw: Callable[[], str] = lambda: secrets.token_hex(8),
) -> CommonTexts:
    """What the originals have in common. Each is one or more texts.

    Args:
        originals: at least one; all have as many texts, of as many pieces each.
        beside: texts that are no part of it and must hold no token either.
        draw: a random text of letters and digits; asked again when one of the texts happens to contain it.
    """
    secret = _unused(originals, beside, draw)
    tokens: dict[tuple[str, ...], str] = {}
    texts = []
    for versions in zip(*originals, strict=True):
        common = []
        for column in zip(*map(_pieces, versions), strict=True):
            if column.count(column[0]) == len(column):
                common.append(column[0])
            else:  # the same values in several places share a token
                common.append(tokens.setdefault(column, f"-{secret}.{len(tokens)};"))
        texts.append("".join(common))
    rows = zip(*tokens, strict=True) if tokens else [()] * len(originals)
    return CommonTexts(tuple(texts), tuple(dict(zip(tokens.values(), row, strict=True)) for row in rows))


def _pieces(text: str) -> Sequence[str]:
    return text.pieces if isinstance(text, RenderedText) else (text,)


def _unused(originals: Sequence[Sequence[str]], beside: Sequence[str], draw: Callable[[], str]) -> str:
    while True:
        secret = draw()
        if not any(secret in text for texts in (*originals, beside) for text in texts):
            return secret
