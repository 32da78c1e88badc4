import tracemalloc
from typing import Any

import pytest

from shared.adapters.jinja_renderer import MAX_RENDERED_BYTES, JinjaRenderer
from shared.domain.errors import TemplateUnusable
from shared.ports import TemplateVersion


def _render(source: str, data: dict[str, Any] | None = None, part: str = "email.body.txt") -> str:
    template = TemplateVersion(
        id="t", version="1.0.0", category="transactional", channels=("email",), default_locale="en", locales=("en",),
        required=(), parts={"en": {part: source}},
    )  # fmt: skip
    return JinjaRenderer().render(template, "en", [part], data or {})[part]


def test_data_goes_where_the_template_wants_it() -> None:
    assert _render("Hello {{ name }}, {{ order.total }}!", {"name": "Ada", "order": {"total": 3}}) == "Hello Ada, 3!"


def test_html_parts_are_escaped_and_text_parts_are_not() -> None:
    data = {"name": "<script>&\"'"}

    assert "<script>" not in _render("{{ name }}", data, "email.body.html")
    assert _render("{{ name }}", data, "sms.txt") == data["name"]


def test_what_data_says_is_never_a_template() -> None:
    assert _render("{{ name }}", {"name": "{{ 7 * 7 }}{% raw %}"}) == "{{ 7 * 7 }}{% raw %}"


@pytest.mark.parametrize(
    "source", ["{{ missing }}", "{{ order.missing }}", "{% if missing %}x{% endif %}", "{{ a.b.c }}"]
)
def test_a_missing_variable_is_an_error_and_not_an_empty_place(source: str) -> None:
    with pytest.raises(TemplateUnusable):
        _render(source, {"order": {}, "a": {}})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.__class__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ request.application }}",
        "{{ config }}",
        "{{ (name | attr('__class__')).__mro__ }}",
        "{{ ''['__class__'].__mro__ }}",
        "{{ '%s'.__mod__.__self__ }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ ('{0.__class__.__init__.__globals__}' | string).format(name) }}",
        "{{ items.append(1) }}",
        "{{ data.update({'a': 1}) }}",
        "{{ items.pop() }}",
        "{{ data.clear() }}",
        "{{ ().__class__.__bases__ }}",
        "{{ name.__init__ }}",
        "{% for x in range(999999999) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% include '../../../etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends '../secrets' %}",
        "{{ 1 / 0 }}",
        "{{ name + 1 }}",
        "{{ name.nothing() }}",
        "{{ items[99] }}",
        "{% for a in 5 %}{% endfor %}",
        "{{ 'a' | int('x') | nosuchfilter }}",
        "{{ unclosed ",
        "{% if %}",
        "{% endfor %}",
    ],
)
def test_a_template_can_not_reach_beyond_its_data(source: str) -> None:
    with pytest.raises(TemplateUnusable):
        _render(source, {"name": "Ada", "items": [1], "data": {"a": 1}})


def test_a_template_does_not_change_the_data_of_the_next() -> None:
    data = {"items": [1, 2]}

    with pytest.raises(TemplateUnusable):
        _render("{{ items.append(3) }}", data)

    assert data == {"items": [1, 2]}


def test_a_text_that_grows_too_long_is_refused() -> None:
    with pytest.raises(TemplateUnusable):
        _render("{% for x in items %}{{ x }}{% endfor %}", {"items": ["y" * 1000] * (MAX_RENDERED_BYTES // 1000 + 1)})


def test_only_the_parts_the_template_has_are_rendered() -> None:
    template = TemplateVersion(
        id="t", version="1.0.0", category="x", channels=(), default_locale="en", locales=("en",), required=(),
        parts={"en": {"sms.txt": "hi"}},
    )  # fmt: skip

    assert JinjaRenderer().render(template, "en", ["sms.txt", "email.body.html"], {}) == {"sms.txt": "hi"}


def test_rendering_keeps_no_memory_of_what_it_rendered() -> None:
    renderer = JinjaRenderer()
    template = TemplateVersion(
        id="t", version="1.0.0", category="x", channels=(), default_locale="en", locales=("en",), required=(),
        parts={"en": {"sms.txt": "{{ name }}"}},
    )  # fmt: skip
    renderer.render(template, "en", ["sms.txt"], {"name": "x"})
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(300):
        renderer.render(template, "en", ["sms.txt"], {"name": f"{number}" * 500})
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert grown < 50_000
