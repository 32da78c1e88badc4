"""Automatic indexes change the speed of a query, never its result: with and without them the answers are equal."""

import asyncio
import tempfile
from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from local_azure.cosmos import documents
from local_azure.cosmos.candidates import Scope, candidates, missing_paths
from local_azure.cosmos.catalog import Catalog
from local_azure.cosmos.index_filling import IndexFilling, fill_now
from local_azure.cosmos.sql.select import compile_text
from local_azure.cosmos.store import Store

CONSTANTS = [1, -2.5, "", "a", "ab", "é", "z" * 1100, True, None, 2**60]
PATHS = ["c.a", "c.b.x", "c['c d']"]

scalars = st.sampled_from(CONSTANTS)
stored = st.fixed_dictionaries(
    {},
    optional={
        "a": st.one_of(scalars, st.lists(scalars, max_size=2)),
        "b": st.one_of(scalars, st.fixed_dictionaries({}, optional={"x": scalars})),
        "c d": scalars,
    },
)


def literal(value):
    return orjson.dumps(value).decode()


@st.composite
def conditions(draw, depth=2):
    if depth and draw(st.booleans()):
        operator = draw(st.sampled_from(["AND", "OR"]))
        return f"({draw(conditions(depth - 1))} {operator} {draw(conditions(depth - 1))})"
    path, first, second = draw(st.sampled_from(PATHS)), draw(scalars), draw(scalars)
    form = draw(st.sampled_from(["compare", "compare", "mirror", "in", "between", "prefix", "not", "other"]))
    operator = draw(st.sampled_from(["=", "<", "<=", ">", ">=", "!="]))
    return {
        "compare": f"{path} {operator} {literal(first)}",
        "mirror": f"{literal(first)} {operator} {path}",
        "in": f"{path} IN ({literal(first)}, {literal(second)})",
        "between": f"{path} BETWEEN {literal(first)} AND {literal(second)}",
        "prefix": f"STARTSWITH({path}, {literal(first)})",
        "not": f"NOT ({path} {operator} {literal(first)})",
        "other": f"IS_DEFINED({path})",
    }[form]


def make_container(folder):
    catalog = Catalog(Store(Path(folder)), ranges=2)
    return catalog.create_container(
        catalog.create_database({"id": "d"}), {"id": "c", "partitionKey": {"paths": ["/pk"]}}
    )


def insert(container, number, body):
    document = {**body, "id": str(number), "pk": str(number % 5)}
    documents.upsert(container, container.key.of_document(document), document)


def matches(container, text):
    select = compile_text(text)
    found = []
    for batch in candidates(container, select, {}, Scope(None, "", "FF"), None):
        found += [number for number, body in batch if list(select.expand([orjson.loads(body)], {}))]
    return sorted(found)


@settings(max_examples=200, deadline=None)
@given(st.lists(stored, max_size=12), st.lists(stored, max_size=4), conditions())
def test_an_indexed_query_finds_what_a_scan_finds(before, after, condition):
    text = f"SELECT * FROM c WHERE {condition}"  # noqa: S608 - the query language's own text
    with tempfile.TemporaryDirectory() as folder:
        container = make_container(folder)
        for number, body in enumerate(before):
            insert(container, number, body)
        fill_now(container, missing_paths(container, compile_text(text)))
        for number, body in enumerate(after):
            insert(container, number * 2, body)

        indexed = matches(container, text)

        container.table.columns.ready[:] = [False] * len(container.table.columns)
        assert indexed == matches(container, text)
        container.store.close()


def test_every_comparison_with_every_kind_of_constant(tmp_path):
    container = make_container(tmp_path)
    for number, value in enumerate([*CONSTANTS, [1], {"x": "a"}]):
        insert(container, number, {"a": value})
    insert(container, 99, {})
    columns = container.table.columns
    fill_now(container, [("a",)])

    for operator in ("=", "<", "<=", ">", ">="):
        for constant in CONSTANTS:
            for condition in (f"c.a {operator} {literal(constant)}", f"{literal(constant)} {operator} c.a"):
                text = f"SELECT * FROM c WHERE {condition}"  # noqa: S608 - the query language's own text
                columns.ready[:] = [True]
                indexed = matches(container, text)
                columns.ready[:] = [False]
                assert indexed == matches(container, text), condition
    container.store.close()


async def test_a_large_container_is_filled_in_the_background(tmp_path):
    container = make_container(tmp_path)
    for number in range(3000):
        insert(container, number, {"a": "due" if number == 2900 else "later"} if number % 3 else {})
    select = compile_text("SELECT * FROM c WHERE c.a = 'due'")
    filling = IndexFilling()

    filling.ensure(container, select)
    assert container.table.columns.number_of(("a",)) is None
    insert(container, 2999, {"a": "due"})
    assert len(matches(container, select.query.text)) == 2
    await asyncio.wait_for(asyncio.gather(*filling.tasks.values()), 20)

    assert container.table.columns.number_of(("a",)) == 0
    assert len(matches(container, select.query.text)) == 2
    container.store.close()
