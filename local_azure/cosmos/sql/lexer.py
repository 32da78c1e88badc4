"""Query text → tokens. Each token keeps its place, so later stages can quote the text.

Grammar: https://learn.microsoft.com/azure/cosmos-db/nosql/query/ (read 2026-11).
"""

import re
from typing import NamedTuple

from local_azure.cosmos.errors import CosmosError, bad_request

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<param>@[A-Za-z_][A-Za-z0-9_]*|@\#\d+)
  | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
  | (?P<op>\?\?|\|\||<=|>=|<>|!=|>>>|<<|>>|[-+*/%&|^~=<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


class Token(NamedTuple):
    """One word of a query; `value` is the decoded literal, or the upper-case text of a name or operator."""

    kind: str
    value: str | float
    text: str
    start: int
    end: int


def syntax_error(message: str) -> CosmosError:
    return bad_request(f"Syntax error: {message}")


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if code[0] == "u" and len(code) == 5 else _ESCAPES.get(code, code)


def string_value(text: str) -> str:
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    # A surrogate pair written as two escapes is one character.
    return _ESCAPE.sub(_unescape, inner).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def number_value(text: str) -> float:
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text) if text.isdecimal() else float(text)


def tokenize(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise syntax_error(f"unexpected character {text[position]!r} at position {position}.")
        kind, word = match.lastgroup or "", match.group()
        end = match.end()
        if kind != "space":
            value: str | float
            if kind == "number":
                value = number_value(word)
            elif kind == "string":
                value = string_value(word)
            else:
                value = word.upper() if kind == "name" else word
            tokens.append(Token(kind, value, word, position, end))
        position = end
    tokens.append(Token("end", "", "end of query", len(text), len(text)))
    return tokens
