"""The contract as one page for people, made from the OpenAPI document: no script, nothing loaded from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

from shared.contracts.openapi import openapi_document

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 3rem; } h3 { border-top: 1px solid var(--line); padding-top: 1rem; overflow-wrap: anywhere; }
code, pre { font: 14px/1.45 ui-monospace, monospace; background: var(--soft); border-radius: 4px; }
code { padding: 0 .25em; overflow-wrap: anywhere; } pre { padding: .75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
nav ul { columns: 20rem; padding-left: 1.2rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_METHODS = ("get", "post", "put", "patch", "delete")


@cache
def reference_page() -> bytes:
    """The page as HTML."""
    document = openapi_document()
    info = document["info"]
    body = "".join(
        (
            f"<h1>{escape(info['title'])}, v{escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
            '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
            _contents(document),
            *(_tag(tag["name"], document) for tag in document["tags"]),
            "<h2 id=schemas>Schemas</h2>",
            *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
        )
    )
    title = f"<title>{escape(info['title'])}</title>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{title}<style>{_STYLE}</style>'
    page = f'<!doctype html><html lang="en"><head>{head}</head><body><main>{body}</main></body></html>'
    return page.encode()


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield method.upper(), path, methods[method]


def _contents(document: Mapping[str, Any]) -> str:
    entries = "".join(
        f'<li><a href="#{operation["operationId"]}">{method} {escape(path)}</a>'
        for method, path, operation in _operations(document)
    )
    return f'<nav aria-label="Operations"><ul>{entries}<li><a href="#schemas">Schemas</a></ul></nav>'


def _tag(tag: str, document: Mapping[str, Any]) -> str:
    operations = "".join(
        _operation(method, path, operation)
        for method, path, operation in _operations(document)
        if tag in operation["tags"]
    )
    return f"<h2>{escape(tag)}</h2>{operations}"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<h3 id="{operation["operationId"]}"><code>{method} /api{escape(path)}</code></h3>',
        f"<p>{escape(operation['summary'])}. {_prose(operation.get('description', ''))}</p>",
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (f"<code>{escape(each['name'])}</code>", each["in"], _prose(each["description"])) for each in parameters
        ]
        parts.append(_table(("parameter", "in", "meaning"), rows))
    if request := operation.get("requestBody"):
        schema = next(iter(request["content"].values()))["schema"]
        parts.append(f"<p>Takes {_type(schema)}.</p>")
    answers = [
        (status, _prose(answer["description"]), _content(answer)) for status, answer in operation["responses"].items()
    ]
    parts.append(_table(("status", "meaning", "body"), answers))
    return "".join(parts)


def _content(answer: Mapping[str, Any]) -> str:
    content = answer.get("content")
    return _type(next(iter(content.values()))["schema"]) if content else ""


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(each)}</code>{' *' if each in required else ''}",
            _type(described),
            _prose(described.get("description", "")),
        )
        for each, described in schema.get("properties", {}).items()
    ]
    parts = [f'<h3 id="schema-{escape(name)}">{escape(name)}</h3><p>{_prose(schema.get("description", ""))}</p>']
    if rows:
        parts.append(_table(("field (* required)", "type", "meaning"), rows))
    elif "enum" in schema:
        parts.append(f"<p>{_type(schema)}</p>")
    parts += [f"<pre>{escape(_pretty(example))}</pre>" for example in schema.get("examples", ())]
    return "".join(parts)


def _pretty(example: object) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)


def _type(schema: Mapping[str, Any]) -> str:
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    if choices := schema.get("anyOf"):
        return " or ".join(_type(choice) for choice in choices if choice.get("type") != "null")
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(" ".join(filter(None, (str(schema.get("type", "any JSON")), schema.get("format", "")))))


def _prose(text: str) -> str:
    """Text with its `code` marked up."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th scope=col>{each}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
