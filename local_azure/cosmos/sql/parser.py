"""Tokens → tree: a precedence-climbing parser for expressions around a hand-written SELECT.

Takes query text (or only a condition, for patch predicates); gives a `Query`. A syntax error is a 400.
"""

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.sql.lexer import Token, syntax_error, tokenize
from local_azure.cosmos.sql.tree import (
    Alias,
    ArrayOf,
    Between,
    Binary,
    Call,
    Column,
    In,
    Like,
    Literal,
    Node,
    ObjectOf,
    Order,
    Parameter,
    Property,
    Query,
    Source,
    SubQuery,
    Ternary,
    Unary,
)

_BINDING = {
    "??": 2, "OR": 3, "AND": 4,
    "=": 6, "!=": 6, "<>": 6, "<": 7, "<=": 7, ">": 7, ">=": 7, "IN": 7, "BETWEEN": 7, "LIKE": 7,
    "|": 8, "^": 9, "&": 10, "<<": 11, ">>": 11, ">>>": 11, "||": 12, "+": 13, "-": 13, "*": 14, "/": 14, "%": 14,
}  # fmt: skip
_TERNARY_BINDING = 1
_NOT_BINDING = 5
_UNARY_BINDING = 15
_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None, "UNDEFINED": UNDEFINED}
_RESERVED = {
    "SELECT", "FROM", "WHERE", "ORDER", "GROUP", "BY", "OFFSET", "LIMIT", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE",
    "ESCAPE", "JOIN", "AS", "ASC", "DESC", "TOP", "DISTINCT", "VALUE", "EXISTS", "ARRAY",
}  # fmt: skip
_MAX_DEPTH = 120


class _Parser:
    """The reading position in one query."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def peek(self, value: str, ahead: int = 0) -> bool:
        token = self.tokens[min(self.at + ahead, len(self.tokens) - 1)]
        return token.value == value and token.kind in ("name", "op")

    def take(self, value: str) -> bool:
        if self.peek(value):
            self.at += 1
            return True
        return False

    def expect(self, value: str) -> Token:
        if not self.peek(value):
            raise syntax_error(f"expected '{value}' but found '{self.token.text}' at position {self.token.start}.")
        self.at += 1
        return self.tokens[self.at - 1]

    def name(self) -> str:
        token = self.token
        if token.kind != "name" or token.value in _RESERVED:
            raise syntax_error(f"expected a name but found '{token.text}' at position {token.start}.")
        self.at += 1
        return token.text

    # Queries ---------------------------------------------------------------------------------------------------------

    def query(self) -> Query:
        self.expect("SELECT")
        query = Query(self.text)
        query.distinct = self.take("DISTINCT")
        if self.take("TOP"):
            query.top = self.primary()
        self.select_list(query)
        if self.take("FROM"):
            self.from_clause(query)
        if self.take("WHERE"):
            start = self.token.start
            query.where = self.expression()
            query.where_span = (start, self.tokens[self.at - 1].end)
        if self.take("GROUP"):
            self.expect("BY")
            query.group_by = self.expressions()
        if self.take("ORDER"):
            self.expect("BY")
            if self.peek("RANK"):
                raise syntax_error("ORDER BY RANK is not supported by this emulator.")
            query.order_by = self.order_list()
        if self.take("OFFSET"):
            query.offset = self.primary()
            self.expect("LIMIT")
            query.limit = self.primary()
        return query

    def select_list(self, query: Query) -> None:
        if self.peek("VALUE") and not self.peek(",", 1) and not self.peek("FROM", 1) and not self.peek(".", 1):
            self.at += 1
            query.value = True
        elif self.take("*"):
            query.star = True
            return
        while True:
            start = self.token.start
            value = self.expression()
            end = self.tokens[self.at - 1].end
            name = None
            if self.take("AS") or (self.token.kind == "name" and self.token.value not in _RESERVED):
                name = self.name()
            query.columns.append(Column(value, name, (start, end)))
            if query.value or not self.take(","):
                return

    def from_clause(self, query: Query) -> None:
        start = self.token.start
        query.sources.append(self.source(root=True))
        while self.take("JOIN"):
            query.sources.append(self.source(root=False))
        query.from_span = (start, self.tokens[self.at - 1].end)

    def source(self, *, root: bool) -> Source:
        if self.token.kind == "name" and self.peek("IN", 1):
            name = self.name()
            self.at += 1
            return Source(name, self.unary(), each=True)
        value = self.unary()
        alias: str | None = None
        if self.take("AS") or (self.token.kind == "name" and self.token.value not in _RESERVED):
            alias = self.name()
        if self.peek("IN"):
            self.at += 1
            return Source(alias or "", self.unary(), each=True)
        if isinstance(value, SubQuery):
            return Source(alias or "", SubQuery("each", value.query), each=True)
        if alias is None:
            alias = _last_name(value)
        if root and isinstance(value, Alias):
            return Source(alias, None, each=False)
        return Source(alias, value, each=False)

    def order_list(self) -> list[Order]:
        orders = []
        while True:
            start = self.token.start
            value = self.expression()
            end = self.tokens[self.at - 1].end
            descending = self.take("DESC")
            if not descending:
                self.take("ASC")
            orders.append(Order(value, descending, (start, end)))
            if not self.take(","):
                return orders

    # Expressions -----------------------------------------------------------------------------------------------------

    def expressions(self) -> list[Node]:
        values = [self.expression()]
        while self.take(","):
            values.append(self.expression())
        return values

    def expression(self, binding: int = 0) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise syntax_error("the expression is nested too deeply.")
        left = self.unary()
        while True:
            token = self.token
            negated = self.peek("NOT") and self.tokens[self.at + 1].value in ("IN", "BETWEEN", "LIKE")
            operator = str(self.tokens[self.at + 1].value if negated else token.value)
            if token.kind not in ("op", "name"):
                break
            if operator == "?" and binding <= _TERNARY_BINDING:
                self.at += 1
                yes = self.expression(_TERNARY_BINDING)
                self.expect(":")
                left = Ternary(left, yes, self.expression(_TERNARY_BINDING))
                continue
            power = _BINDING.get(operator)
            if power is None or power <= binding:
                break
            self.at += 1 + negated
            left = self.infix(left, operator, power)
            if negated:
                left = Unary("NOT", left)
        self.depth -= 1
        return left

    def infix(self, left: Node, operator: str, power: int) -> Node:
        if operator == "IN":
            self.expect("(")
            options = self.expressions()
            self.expect(")")
            return In(left, options)
        if operator == "BETWEEN":
            low = self.expression(power)
            self.expect("AND")
            return Between(left, low, self.expression(power))
        if operator == "LIKE":
            pattern = self.expression(power)
            return Like(left, pattern, self.expression(power) if self.take("ESCAPE") else None)
        return Binary("!=" if operator == "<>" else operator, left, self.expression(power))

    def unary(self) -> Node:
        if self.take("NOT"):
            return Unary("NOT", self.expression(_NOT_BINDING))
        for operator in ("-", "+", "~"):
            if self.take(operator):
                return Unary(operator, self.expression(_UNARY_BINDING))
        return self.postfix(self.primary())

    def postfix(self, value: Node) -> Node:
        while True:
            if self.take("."):
                token = self.token
                if token.kind != "name":
                    raise syntax_error(f"expected a property name but found '{token.text}' at position {token.start}.")
                self.at += 1
                value = Property(value, Literal(token.text))
            elif self.take("["):
                value = Property(value, self.expression())
                self.expect("]")
            else:
                return value

    def primary(self) -> Node:
        token = self.token
        self.at += 1
        if token.kind in ("number", "string"):
            return Literal(token.value)
        if token.kind == "param":
            return Parameter(token.text)
        if token.kind == "name":
            return self.named(token)
        if token.value == "(":
            return self.parenthesised()
        if token.value == "[":
            elements = [] if self.peek("]") else self.expressions()
            self.expect("]")
            return ArrayOf(elements)
        if token.value == "{":
            return self.object_literal()
        raise syntax_error(f"unexpected '{token.text}' at position {token.start}.")

    def parenthesised(self) -> Node:
        inner: Node = SubQuery("scalar", self.query()) if self.peek("SELECT") else self.expression()
        self.expect(")")
        return inner

    def named(self, token: Token) -> Node:
        word = str(token.value)
        if word in ("EXISTS", "ARRAY") and self.peek("(") and self.peek("SELECT", 1):
            self.at += 1
            query = self.query()
            self.expect(")")
            return SubQuery(word.lower(), query)
        if self.peek("("):
            self.at += 1
            arguments = [] if self.peek(")") else self.expressions()
            self.expect(")")
            return Call(word, arguments)
        if word == "UDF" and self.peek("."):
            raise syntax_error("user-defined functions are not supported by this emulator.")
        if word in _CONSTANTS:
            return Literal(_CONSTANTS[word])
        if word in _RESERVED and word != "VALUE":
            raise syntax_error(f"unexpected '{token.text}' at position {token.start}.")
        return Alias(token.text)

    def object_literal(self) -> Node:
        fields: list[tuple[str, Node]] = []
        while not self.take("}"):
            token = self.token
            if token.kind not in ("string", "name"):
                raise syntax_error(f"expected a property name but found '{token.text}' at position {token.start}.")
            self.at += 1
            self.expect(":")
            fields.append((str(token.value) if token.kind == "string" else token.text, self.expression()))
            if not self.take(",") and not self.peek("}"):
                raise syntax_error(
                    f"expected ',' or '}}' but found '{self.token.text}' at position {self.token.start}."
                )
        return ObjectOf(fields)


def _last_name(value: Node) -> str:
    if isinstance(value, Alias):
        return value.name
    if isinstance(value, Property) and isinstance(value.key, Literal) and isinstance(value.key.value, str):
        return value.key.value
    raise syntax_error("a FROM source needs an alias.")


def parse_query(text: str) -> Query:
    parser = _Parser(text)
    query = parser.query()
    if parser.token.kind != "end":
        raise syntax_error(f"unexpected '{parser.token.text}' at position {parser.token.start}.")
    return query


def parse_predicate(text: str) -> Query:
    """`FROM c WHERE <condition>`: what a conditional patch carries."""
    parser = _Parser(text)
    query = Query(text)
    parser.expect("FROM")
    parser.from_clause(query)
    parser.expect("WHERE")
    query.where = parser.expression()
    if parser.token.kind != "end":
        raise syntax_error(f"unexpected '{parser.token.text}' at position {parser.token.start}.")
    return query
