"""Predicates of conditional patches: `FROM c WHERE c.status = 'queued'`.

Predicates usually differ only in their literals (an attempt, an etag), so string and number literals become parameters
before the cache is asked: one compilation serves every value.
"""

import re
from functools import lru_cache
from typing import Any

from local_azure.cosmos.errors import bad_request
from local_azure.cosmos.sql.evaluator import Evaluate, Scope, compile_expression
from local_azure.cosmos.sql.lexer import number_value, string_value, syntax_error
from local_azure.cosmos.sql.parser import parse_predicate
from local_azure.cosmos.sql.select import compile_subquery

_LITERAL = re.compile(
    r"""(?P<keep>\[\s*(?:'[^'\\]*'|"[^"\\]*"|\d+)\s*\])|(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?<![\w$@.])(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])""",
    re.DOTALL,
)

_MAX_PREDICATE = 8192


def _lift(text: str) -> tuple[str, dict[str, Any]]:
    literals: dict[str, Any] = {}

    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "keep":
            return match.group()
        name = f"@#{len(literals)}"
        literals[name] = (string_value if kind == "string" else number_value)(match.group())
        return name

    return _LITERAL.sub(replace, text), literals


@lru_cache(maxsize=1024)
def _compiled(shape: str) -> Evaluate:
    query = parse_predicate(shape)
    if query.where is None or len(query.sources) != 1 or query.sources[0].value is not None:
        raise syntax_error("a patch condition is 'FROM <alias> WHERE <condition>'.")
    return compile_expression(query.where, Scope({query.sources[0].alias: 0}, 1, compile_subquery))


def predicate_holds(text: Any, document: dict[str, Any]) -> bool:
    """Whether a document satisfies a predicate. Raises 400 for text that is not a predicate."""
    if type(text) is not str:
        raise bad_request("The patch condition must be a string.")
    # Property names of object literals look like strings; such a text is compiled as it is.
    if len(text) > _MAX_PREDICATE:
        raise bad_request("The patch condition is too long.")
    shape, literals = (text, {}) if "{" in text else _lift(text)
    return _compiled(shape)([document], literals) is True
