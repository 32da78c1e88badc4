"""The route table: templates, constraints, precedence."""

import pytest

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.routes import RouteTable


def table(*templates: str, methods: frozenset[str] = frozenset()) -> RouteTable[str]:
    made: RouteTable[str] = RouteTable()
    for template in templates:
        made.add(template, methods, template)
    return made


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [
        ("api/orders", "/api/orders", {}),
        ("api/orders", "/API/Orders/", {}),
        ("api/orders", "/api/orders/1", None),
        ("api/{id}", "/api/a%20b", {"id": "a b"}),
        ("api/{id}", "/api", None),
        ("api/{id?}", "/api", {}),
        ("api/{page=1}", "/api", {"page": "1"}),
        ("api/{page=1}", "/api/2", {"page": "2"}),
        ("api/{id:int}", "/api/-12", {"id": "-12"}),
        ("api/{id:int}", "/api/2147483648", None),
        ("api/{id:long}", "/api/2147483648", {"id": "2147483648"}),
        ("api/{id:guid}", "/api/0af76519-16cd-43dd-8448-eb211c80319c", {"id": "0af76519-16cd-43dd-8448-eb211c80319c"}),
        ("api/{id:guid}", "/api/0af76519", None),
        ("api/{x:bool}", "/api/True", {"x": "True"}),
        ("api/{x:alpha:minlength(2)}", "/api/ab", {"x": "ab"}),
        ("api/{x:alpha:minlength(2)}", "/api/a", None),
        ("api/{x:length(2,3)}", "/api/abcd", None),
        ("api/{x:range(1,10)}", "/api/10", {"x": "10"}),
        ("api/{x:range(1,10)}", "/api/11", None),
        ("api/{x:regex(^v[0-9]$)}", "/api/v2", {"x": "v2"}),
        ("api/{*rest}", "/api/a/b", {"rest": "a/b"}),
        ("api/{*rest}", "/api", {"rest": ""}),
        ("", "/", {}),
    ],
)
def test_a_template_matches_or_not(template, path, found):
    match = table(template).find("GET", path)

    assert (match and match[1]) == found


def test_the_most_specific_template_wins_whatever_the_order():
    routes = table("{*rest}", "a/{x}", "a/{x:int}", "a/b", "{x}/b")

    paths = ("/a/b", "/a/1", "/a/c", "/c/b", "/c/d")
    assert [routes.find("GET", path)[0] for path in paths] == ["a/b", "a/{x:int}", "a/{x}", "{x}/b", "{*rest}"]


def test_methods_choose_between_equal_templates_and_head_falls_to_get():
    routes: RouteTable[str] = RouteTable()
    routes.add("a", frozenset({"GET"}), "read")
    routes.add("a", frozenset({"POST"}), "write")

    found = [routes.find(method, "/a") for method in ("GET", "POST", "HEAD", "PUT")]
    assert [match and match[0] for match in found] == ["read", "write", "read", None]


@pytest.mark.parametrize("template", ["a/{", "a/x{id}", "a/{id:unknown}", "a/{id:length()}"])
def test_a_template_that_cannot_be_read_is_refused(template):
    with pytest.raises(SettingsInvalid):
        table(template)
