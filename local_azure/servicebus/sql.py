"""SQL rule conditions with three-valued logic.

Takes the text of a condition, gives a function from a message's content to True, False or None ("unknown").
Grammar: comparison, AND/OR/NOT, [NOT] LIKE with ESCAPE, [NOT] IN, IS [NOT] NULL, EXISTS(property), + - * / %, user
properties and `sys.` properties; property names are case-insensitive
(https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter).
"""

import re
from typing import Any

from local_azure.servicebus import sql_logic as logic
from local_azure.servicebus.sql_logic import Expression, SqlError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+|\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<text>'(?:[^']|'')*')"
    r'|(?P<quoted>\[(?:[^\]]|\]\])*\]|"(?:[^"]|"")*")'
    r"|(?P<word>[A-Za-z_@#][\w@#$]*)"
    r"|(?P<sign><>|!=|<=|>=|[-+*/%=<>(),.]))"
)
_KEYWORDS = {"AND", "OR", "NOT", "LIKE", "ESCAPE", "IN", "IS", "NULL", "EXISTS", "TRUE", "FALSE"}


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise SqlError(f"cannot read {text[position : position + 20]!r}")
        kind, value = match.lastgroup or "", match.group(match.lastgroup or 0)
        if kind == "word" and value.upper() in _KEYWORDS:
            kind, value = "keyword", value.upper()
        tokens.append((kind, value))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent; each method reads one level of precedence."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("end", "")]
        self._at = 0

    def parse(self) -> Expression:
        condition = self._disjunction()
        if self._peek()[0] != "end":
            raise SqlError(f"unexpected {self._peek()[1]!r}")
        return condition

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _take(self, value: str) -> bool:
        kind, found = self._peek()
        if kind in ("keyword", "sign") and found == value:
            self._at += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._take(value):
            raise SqlError(f"{value} expected before {self._peek()[1]!r}")

    def _disjunction(self) -> Expression:
        left = self._conjunction()
        while self._take("OR"):
            left = logic.either(left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._take("AND"):
            left = logic.both(left, self._negation())
        return left

    def _negation(self) -> Expression:
        return logic.negation(self._negation()) if self._take("NOT") else self._predicate()

    def _predicate(self) -> Expression:
        if self._take("EXISTS"):
            self._expect("(")
            wanted = self._property(self._next())
            self._expect(")")
            return lambda content: wanted(content) is not None
        left = self._sum()
        kind, value = self._peek()
        if kind == "sign" and value in logic.COMPARISONS:
            self._next()
            return logic.compare(value, left, self._sum())
        if self._take("IS"):
            negated = self._take("NOT")
            self._expect("NULL")
            return lambda content: (left(content) is None) != negated
        negated = self._take("NOT")
        if self._take("LIKE"):
            condition = self._like_rest(left)
        elif self._take("IN"):
            condition = logic.one_of(left, self._choices())
        elif negated:
            raise SqlError("LIKE or IN expected after NOT")
        else:
            return left
        return logic.negation(condition) if negated else condition

    def _like_rest(self, left: Expression) -> Expression:
        pattern, escape = self._sum(), None
        if self._take("ESCAPE"):
            kind, text = self._next()
            escape = text[1:-1]
            if kind != "text" or len(escape) != 1:
                raise SqlError("ESCAPE takes one character")
        return logic.like(left, pattern, escape)

    def _choices(self) -> list[Expression]:
        self._expect("(")
        choices = [self._sum()]
        while self._take(","):
            choices.append(self._sum())
        self._expect(")")
        return choices

    def _sum(self) -> Expression:
        left = self._product()
        while self._peek() in (("sign", "+"), ("sign", "-")):
            left = logic.calculate(self._next()[1], left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._factor()
        while self._peek() in (("sign", "*"), ("sign", "/"), ("sign", "%")):
            left = logic.calculate(self._next()[1], left, self._factor())
        return left

    def _factor(self) -> Expression:
        if self._take("("):
            inner = self._disjunction()
            self._expect(")")
            return inner
        if self._take("-"):
            return logic.calculate("-", lambda _content: 0, self._factor())
        if self._take("+"):
            return self._factor()
        token = self._next()
        return self._literal(token) or self._property(token)

    def _literal(self, token: tuple[str, str]) -> Expression | None:
        kind, text = token
        value: Any
        if kind == "number":
            value = int(text) if text.isdigit() else int(text, 16) if text[1:2] in ("x", "X") else float(text)
        elif kind == "text":
            value = text[1:-1].replace("''", "'")
        elif kind == "keyword" and text in ("TRUE", "FALSE", "NULL"):
            value = {"TRUE": True, "FALSE": False, "NULL": None}[text]
        else:
            return None
        return lambda _content: value

    def _property(self, token: tuple[str, str]) -> Expression:
        scope, name = "user", self._name(token)
        if token[0] == "word" and name.casefold() in ("sys", "user") and self._take("."):
            scope, name = name.casefold(), self._name(self._next())
        return logic.system_property(name) if scope == "sys" else logic.user_property(name)

    def _name(self, token: tuple[str, str]) -> str:
        kind, text = token
        if kind == "word":
            return text
        if kind == "quoted":
            return text[1:-1].replace(text[-1] * 2, text[-1])
        raise SqlError(f"a property or value is expected, not {text!r}")


def compile_condition(text: str) -> Expression:
    """The condition as a function that answers True, False or None for unknown.

    Raises:
        SqlError: when the text is not in the grammar.
    """
    try:
        return _Parser(text).parse()
    except RecursionError as error:
        raise SqlError("the expression nests too deep") from error
