"""The query language, as a table: text and document in, values out."""

import pytest

from local_azure.cosmos.errors import CosmosError
from local_azure.cosmos.sql.select import compile_text

DOCUMENT = {
    "id": "1",
    "text": "Hello",
    "n": 7,
    "f": 2.5,
    "yes": True,
    "nothing": None,
    "tags": ["a", "b", 3],
    "items": [{"k": "x", "v": 1}, {"k": "y", "v": 2}],
    "deep": {"er": {"name": "bottom"}, "list": [[1, 2], [3]]},
}
NOTHING = object()


def values(text, document=DOCUMENT, **parameters):
    select = compile_text(text)
    p = {f"@{name}": value for name, value in parameters.items()}
    collector = select.collector(p)
    for row in select.expand([document], p):
        collector.add(row)
    skip, take = select.bounds(p)
    return collector.results()[skip : skip + take]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Paths.
        ("c.deep.er.name", "bottom"),
        ("c['deep']['er'].name", "bottom"),
        ("c.deep.list[0][1]", 2),
        ("c.tags[7]", NOTHING),
        ("c.absent.more", NOTHING),
        ("c.text.more", NOTHING),
        # Equality and order: types do not mix, undefined stays undefined.
        ("c.n = 7.0", True),
        ("c.n = '7'", False),
        ("c.n != '7'", True),
        ("c.yes = 1", False),
        ("c.nothing = null", True),
        ("c.absent = null", NOTHING),
        ("c.absent != 1", NOTHING),
        ("c.n < '9'", NOTHING),
        ("c.n <= 7", True),
        ("c.text > 'Hallo'", True),
        ("c.nothing < 1", NOTHING),
        ("[1, 'a'] = [1, 'a']", True),
        ("{'a': 1} = {a: 1.0}", True),
        ("[true] = [1]", False),
        # Three-valued logic.
        ("c.absent = 1 OR true", True),
        ("c.absent = 1 OR false", NOTHING),
        ("c.absent = 1 AND false", False),
        ("NOT (c.absent = 1)", NOTHING),
        ("NOT c.yes", False),
        ("c.n AND true", NOTHING),
        ("not c.n = 7 or c.yes", True),
        # Arithmetic, text, conditions.
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("-c.n % 4", -3),
        ("7 / 0", NOTHING),
        ("5 & 3 | 8 ^ 1", 9),
        ("1 << 3 >> 1", 4),
        ("-1 >>> 28", 15),
        ("~5", -6),
        ("0x1F + 1e2", 131),
        ("c.text || ' you'", "Hello you"),
        ("c.text || 1", NOTHING),
        ("c.absent ?? 'none'", "none"),
        ("c.nothing ?? 'none'", None),
        ("c.n > 5 ? 'big' : 'small'", "big"),
        ("c.absent ? 1 : c.yes ? 2 : 3", 2),
        # IN, BETWEEN, LIKE.
        ("c.n IN (1, 7)", True),
        ("c.n NOT IN (1, 7)", False),
        ("c.absent IN (1)", NOTHING),
        ("c.n BETWEEN 7 AND 8", True),
        ("c.n NOT BETWEEN 7 AND 8", False),
        ("c.text LIKE 'H%o'", True),
        ("c.text LIKE '_ello'", True),
        ("c.text NOT LIKE 'h%'", True),
        ("'50%' LIKE '50!%' ESCAPE '!'", True),
        ("c.text LIKE '[GH]%'", True),
        # Functions: types.
        ("IS_DEFINED(c.absent)", False),
        ("IS_NULL(c.nothing)", True),
        ("IS_NUMBER(c.f) AND IS_BOOL(c.yes) AND IS_STRING(c.text) AND IS_ARRAY(c.tags) AND IS_OBJECT(c.deep)", True),
        ("IS_PRIMITIVE(c.deep)", False),
        ("IS_INTEGER(c.f)", False),
        # Functions: strings.
        ("CONCAT(c.text, '!', 'x')", "Hello!x"),
        ("CONTAINS(c.text, 'ELL', true)", True),
        ("STARTSWITH(c.text, 'he')", False),
        ("ENDSWITH(c.absent, 'o')", NOTHING),
        ("INDEX_OF(c.text, 'l')", 2),
        ("LEFT(c.text, 2) || RIGHT(c.text, 2)", "Helo"),
        ("SUBSTRING(c.text, 1, 3)", "ell"),
        ("LENGTH(UPPER(TRIM('  ab ')))", 2),
        ("REPLACE(LOWER(c.text), 'l', 'L')", "heLLo"),
        ("REVERSE('abc')", "cba"),
        ("REPLICATE('ab', 3)", "ababab"),
        ("ToString(1.5)", "1.5"),
        ("StringToNumber('12')", 12),
        ("StringToObject('{\"a\":1}').a", 1),
        ("StringToNumber('x')", NOTHING),
        ("RegexMatch(c.text, '^h.*O$', 'i')", True),
        ("StringEquals(c.text, 'HELLO', true)", True),
        # Functions: arrays and objects.
        ("ARRAY_CONTAINS(c.tags, 'b')", True),
        ("ARRAY_CONTAINS(c.items, {'k': 'y'}, true)", True),
        ("ARRAY_CONTAINS(c.items, {'k': 'y'})", False),
        ("ARRAY_LENGTH(c.tags)", 3),
        ("ARRAY_SLICE(c.tags, -2, 1)", ["b"]),
        ("ARRAY_CONCAT(c.tags, [4])", ["a", "b", 3, 4]),
        ("SetUnion([1, 2], [2, 3])", [1, 2, 3]),
        ("SetIntersect([1, 2], [2, 3])", [2]),
        ("ObjectToArray({'a': 1})", [{"k": "a", "v": 1}]),
        # Functions: mathematics.
        ("ABS(-3) + CEILING(1.2) + FLOOR(1.8) + ROUND(2.5)", 9),
        ("ROUND(-2.5)", -3),
        ("POWER(2, 10)", 1024),
        ("SQRT(-1)", NOTHING),
        ("SIGN(-4)", -1),
        ("TRUNC(-2.7)", -2),
        ("LOG10(1000)", 3),
        ("ABS('x')", NOTHING),
        # Functions: dates.
        ("DateTimeAdd('mm', 1, '2026-01-31T00:00:00.0000000Z')", "2026-02-28T00:00:00.0000000Z"),
        ("DateTimeDiff('hh', '2026-01-01T00:59:00Z', '2026-01-01T02:00:00Z')", 2),
        ("DateTimePart('yyyy', '2026-01-01T00:59:00Z')", 2026),
        ("TimestampToDateTime(DateTimeToTimestamp('2026-05-06T07:08:09.1230000Z'))", "2026-05-06T07:08:09.1230000Z"),
        ("IIF(c.n > 1, 'a', 'b')", "a"),
        # Construction and subqueries.
        ("{'a': c.n, b: c.absent, 'c d': [c.absent, 1]}", {"a": 7, "c d": [1]}),
        ("ARRAY(SELECT VALUE i.v FROM i IN c.items WHERE i.v > 1)", [2]),
        ("EXISTS(SELECT VALUE i FROM i IN c.items WHERE i.k = 'x')", True),
        ("(SELECT VALUE SUM(i.v) FROM i IN c.items)", 3),
        ("(SELECT VALUE COUNT(1) FROM i IN c.items WHERE i.v > 9)", 0),
        # Literals.
        ("'it\\'s \\u00fc'", "it's ü"),
        ('"double"', "double"),
        ("undefined", NOTHING),
    ],
)
def test_expressions(expression, expected):
    text = f"SELECT VALUE {expression} FROM c"  # noqa: S608 - the query language's own text

    assert values(text) == ([] if expected is NOTHING else [expected])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT c.n, c.deep.er.name, c.f + 1 FROM c", [{"n": 7, "name": "bottom", "$3": 3.5}]),
        ("SELECT c.n AS a, c.f b FROM c", [{"a": 7, "b": 2.5}]),
        ("select value root.n from root", [7]),
        ("SELECT * FROM i IN c.items", DOCUMENT["items"]),
        ("SELECT VALUE e.name FROM c.deep.er e", ["bottom"]),
        ("SELECT VALUE e.name FROM c.deep.er AS e WHERE e.name = 'top'", []),
        ("SELECT i.k, t FROM c JOIN i IN c.items JOIN t IN c.tags WHERE t = 'a'", [{"k": k, "t": "a"} for k in "xy"]),
        ("SELECT VALUE s.v FROM c JOIN (SELECT VALUE i FROM i IN c.items WHERE i.v = 2) AS s", [2]),
        ("SELECT VALUE i.v FROM c JOIN i IN c.items ORDER BY i.v DESC OFFSET 0 LIMIT 1", [2]),
        ("SELECT TOP 1 VALUE i.v FROM i IN c.items", [1]),
        ("SELECT DISTINCT VALUE t FROM t IN [1, 1.0, 'x', true, 1]", [1, "x", True]),
        (
            "SELECT COUNT(1) AS n, AVG(i.v) AS mean, MIN(i.k) AS low FROM i IN c.items",
            [{"n": 2, "mean": 1.5, "low": "x"}],
        ),
        (
            "SELECT i.v > 1 AS big, COUNT(1) AS n FROM i IN c.items GROUP BY i.v > 1",
            [{"big": False, "n": 1}, {"big": True, "n": 1}],
        ),
        ("SELECT VALUE SUM(i.k) FROM i IN c.items", []),
        ("SELECT COUNT(c.absent) AS n FROM c", [{"n": 0}]),
        ("SELECT VALUE c.n -- a comment\nFROM c /* and\n another */ WHERE true", [7]),
        ("SELECT VALUE c.n FROM c WHERE c.n = @n AND ARRAY_CONTAINS(@list, c.text)", [7]),
    ],
)
def test_queries(text, expected):
    assert values(text, n=7, list=["Hello"]) == expected


def test_long_chains_of_conditions_are_not_deep():
    many = " OR ".join(f"(c.n = {number} AND c.text = 'Hello')" for number in range(3000, 0, -1))

    assert values(f"SELECT VALUE c.id FROM c WHERE {many}") == ["1"]  # noqa: S608 - the query language's own text


def test_order_across_types():
    document = {"all": [{"v": v} for v in ("b", 2, None, True, "a", False, 1.5, [1], {"x": 1})] + [{}]}

    ordered = values("SELECT VALUE i FROM i IN c.all ORDER BY i.v", document)

    assert [item.get("v", "undefined") for item in ordered] == [
        "undefined", None, False, True, 1.5, 2, "a", "b", [1], {"x": 1},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT",
        "SELECT * FROM",
        "SELECT * FROM c WHERE",
        "SELECT * FROM c WHERE c.x = ",
        "SELECT * FROM c WHERE c.x == 1",
        "SELECT * FROM c WHERE (c.x = 1",
        "SELECT * FROM c ORDER c.x",
        "SELECT * FROM c LIMIT 5",
        "SELECT d.x FROM c",
        "SELECT * FROM c JOIN t IN c.tags",
        "SELECT NO_SUCH(c.x) FROM c",
        "SELECT ABS() FROM c",
        "SELECT * FROM c WHERE COUNT(1) > 1",
        "SELECT * FROM c WHERE c.x = 'open",
        "SELECT * FROM c; DROP TABLE c",
        "SELECT udf.f(c.x) FROM c",
        "SELECT c.a AS x, c.b AS x FROM c",
        "SELECT VALUE 1" + "+1" * 5000,
        "SELECT * FROM c WHERE " + "(" * 500 + "1" + ")" * 500,
        "SELECT * FROM c WHERE c.x = 1 #",
    ],
)
def test_what_is_not_a_query_is_a_bad_request(text):
    with pytest.raises(CosmosError) as refused:
        values(text)

    assert refused.value.status == 400
