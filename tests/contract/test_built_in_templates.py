"""Contract of the built-in notification templates in shared/templates (requirement S2-09).

Takes the template files as they are shipped and renders them the way the app does: Jinja2's sandbox, strict about
undefined variables, HTML parts escaped. Gives confidence that a template can be published without a look at its
source. The SMS alphabet and its limits are those of 3GPP TS 23.038, section 6.2.1 (default alphabet, extension table).
"""

import json
import re
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemLoader, StrictUndefined, UndefinedError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

ROOT = Path(__file__).parents[2] / "shared" / "templates"
LAYOUT = "_layout/email.html"
VERSION = "1.0.0"
IDS = (
    "order-confirmation", "password-reset", "shipping-update", "invoice-paid", "welcome-new-user", "weekly-digest",
    "account-locked", "promotion-flash-sale", "support-ticket-update", "low-stock-alert",
)  # fmt: skip
MARKETING = ("weekly-digest", "promotion-flash-sale")
LOCALES = ("en", "de")
PARTS = ("email.subject.txt", "email.body.txt", "email.body.html", "sms.txt", "push.title.txt", "push.body.txt")
ONE_LINE_PARTS = ("email.subject.txt", "sms.txt", "push.title.txt", "push.body.txt")
MAX_CHARACTERS = {"email.subject.txt": 78, "push.title.txt": 50, "push.body.txt": 150}
MAX_SMS_SEPTETS = 160

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_EXTENSION = frozenset("^{}\\[~]|€")

ALLOWED_FILTERS = {
    "escape", "default", "upper", "lower", "title", "capitalize", "trim", "join", "length", "round", "truncate",
}  # fmt: skip
ALLOWED_NODES = (
    nodes.Template, nodes.Extends, nodes.Block, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr,
    nodes.Const, nodes.If, nodes.For, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And,
    nodes.Or, nodes.Not,
)  # fmt: skip
VOID_TAGS = {"meta", "br", "img", "hr", "link", "input"}

each_template = pytest.mark.parametrize("template_id", IDS)
each_locale = pytest.mark.parametrize("locale", LOCALES)


@cache
def environment(*, trim: bool = False) -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=FileSystemLoader(ROOT),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        trim_blocks=trim,
        lstrip_blocks=trim,
    )


@cache
def describe(template_id: str) -> dict[str, Any]:
    return json.loads((ROOT / template_id / VERSION / "template.json").read_text(encoding="utf-8"))


def path_of(template_id: str, locale: str, part: str) -> str:
    return f"{template_id}/{VERSION}/{locale}/{part}"


SOURCES = [LAYOUT, *(path_of(*which) for which in product(IDS, LOCALES, PARTS))]


def parse(path: str) -> nodes.Template:
    return environment().parse((ROOT / path).read_text(encoding="utf-8"))


def render(template_id: str, locale: str, part: str, values: dict[str, Any], *, trim: bool = False) -> str:
    return environment(trim=trim).get_template(path_of(template_id, locale, part)).render(values)


def samples(template_id: str) -> list[dict[str, Any]]:
    """The sample; with each value of an enumeration and each least number; without each and all optional variables."""
    sample, schema = describe(template_id)["sample"], describe(template_id)["variables"]
    optional = set(sample) - set(schema["required"])
    changes = [(name, value) for name, rule in schema["properties"].items() for value in rule.get("enum", ())]
    changes += [(name, rule["minimum"]) for name, rule in schema["properties"].items() if rule["type"] == "integer"]
    left_out = [optional, *({name} for name in optional)]
    fewer = [{name: sample[name] for name in sample if name not in names} for names in left_out]
    return [sample, *({**sample, name: value} for name, value in changes), *fewer]


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """Whether `value` obeys `rule`, for as much of JSON Schema as the templates use."""
    kind = rule["type"]
    match value:
        case bool():
            return False
        case dict():
            known = set(rule["required"]) <= set(value) <= set(rule["properties"])
            return known and all(fits(inner, rule["properties"][name]) for name, inner in value.items())
        case list():
            sized = kind == "array" and rule["minItems"] <= len(value) <= rule["maxItems"]
            return sized and all(fits(item, rule["items"]) for item in value)
        case int():
            return kind == "integer" and rule["minimum"] <= value <= rule["maximum"]
    sized = kind == "string" and rule.get("minLength", 0) <= len(value) <= rule["maxLength"]
    known = value in rule.get("enum", [value])
    return sized and known and re.fullmatch(rule.get("pattern", "(?s).*"), value) is not None


class MailReader(HTMLParser):
    """Reads a mail as a person does: visible text and link targets; notes tags that don't match."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, bool]] = []
        self.tags: set[str] = set()
        self.languages: list[str | None] = []
        self.links: set[str] = set()
        self.text: list[str] = []
        self.mismatched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.add(tag)
        if tag == "html":
            self.languages.append(attributes.get("lang"))
        if tag == "a":
            self.links.add(attributes.get("href") or "")
        if tag not in VOID_TAGS:
            hidden = tag == "head" or attributes.get("class") in {"preheader", "brand"}
            self.open.append((tag, hidden or any(outer for _, outer in self.open)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop()[0] != tag:
            self.mismatched.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and not self.open[-1][1]:
            self.text.append(data)


def read_mail(html: str) -> MailReader:
    reader = MailReader()
    reader.feed(html)
    reader.close()
    return reader


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_the_ten_templates_are_shipped_and_no_other() -> None:
    assert {folder.name for folder in ROOT.iterdir() if folder.is_dir()} == {*IDS, "_layout"}


@each_template
def test_description_is_complete(template_id: str) -> None:
    described = describe(template_id)

    assert set(described) == {
        "id", "version", "state", "category", "description",
        "channels", "locales", "defaultLocale", "variables", "sample",
    }  # fmt: skip
    assert (described["id"], described["version"], described["state"]) == (template_id, VERSION, "published")
    assert described["description"]
    assert described["category"] in {"transactional", "security", "marketing"}
    assert (described["category"] == "marketing") == (template_id in MARKETING)
    assert described["channels"] == ["email", "sms", "push"]
    assert (described["locales"], described["defaultLocale"]) == (list(LOCALES), "en")


@each_template
def test_every_variable_is_described_and_the_sample_shows_all_of_them(template_id: str) -> None:
    schema, sample = describe(template_id)["variables"], describe(template_id)["sample"]
    rules = list(schema["properties"].values())
    rules += [inner for rule in rules if rule["type"] == "array" for inner in rule["items"]["properties"].values()]

    assert set(sample) == set(schema["properties"])
    assert [values for values in samples(template_id) if not fits(values, schema)] == []
    assert [
        rule for rule in rules if not rule["description"] or not (rule["type"] == "array" or rule["examples"])
    ] == []
    assert [example for rule in rules for example in rule.get("examples", ()) if not fits(example, rule)] == []


@each_template
def test_variables_are_those_the_parts_use(template_id: str) -> None:
    paths = [path_of(template_id, *pair) for pair in product(LOCALES, PARTS)]

    used = set().union(*(meta.find_undeclared_variables(parse(path)) for path in paths))

    assert used == set(describe(template_id)["variables"]["properties"])


@each_template
@each_locale
@pytest.mark.parametrize("part", PARTS)
def test_part_renders_in_every_case_whatever_the_whitespace_setting(template_id: str, locale: str, part: str) -> None:
    for values in samples(template_id):
        rendered = render(template_id, locale, part, values)

        assert rendered.strip()
        assert "{{" not in rendered
        assert "{%" not in rendered
        if part != "email.body.html":
            assert rendered == render(template_id, locale, part, values, trim=True)
            assert "\n\n\n" not in rendered


@each_template
@each_locale
def test_missing_required_variable_fails(template_id: str, locale: str) -> None:
    described = describe(template_id)

    for name in described["variables"]["required"]:
        values = {key: value for key, value in described["sample"].items() if key != name}
        for part in ("email.body.txt", "email.body.html"):
            with pytest.raises(UndefinedError, match=name):
                render(template_id, locale, part, values)


@pytest.mark.parametrize("path", SOURCES)
def test_only_the_allowed_part_of_the_template_language_is_used(path: str) -> None:
    tree = parse(path)

    assert {type(node).__name__ for node in tree.find_all(nodes.Node) if not isinstance(node, ALLOWED_NODES)} == set()
    assert {node.name for node in tree.find_all(nodes.Filter)} <= ALLOWED_FILTERS
    assert {node.name for node in tree.find_all(nodes.Test)} <= {"defined"}
    assert {node.template.value for node in tree.find_all(nodes.Extends)} <= {LAYOUT}
    assert not [loop for loop in tree.find_all(nodes.For) if list(loop.find_all(nodes.For))]


@pytest.mark.parametrize("path", SOURCES)
def test_addresses_come_from_the_variables_only(path: str) -> None:
    assert not re.search(r"https?:|//|www\.|url\(|@import|\ssrc=", (ROOT / path).read_text(encoding="utf-8"))


@each_template
@each_locale
@pytest.mark.parametrize("part", PARTS)
def test_loops_read_only_declared_attributes(template_id: str, locale: str, part: str) -> None:
    properties = describe(template_id)["variables"]["properties"]

    for loop in parse(path_of(template_id, locale, part)).find_all(nodes.For):
        declared = set(properties[loop.iter.name]["items"]["properties"])
        read = [attribute for attribute in loop.find_all(nodes.Getattr) if attribute.node.name == loop.target.name]
        assert {attribute.attr for attribute in read} <= declared
        # Jinja looks for a method of the dictionary before it looks for the key.
        assert not declared & set(dir(dict))


@each_template
@each_locale
@pytest.mark.parametrize("part", ONE_LINE_PARTS)
def test_one_line_part_has_no_line_break_and_keeps_its_limit(template_id: str, locale: str, part: str) -> None:
    for values in samples(template_id):
        rendered = render(template_id, locale, part, values)

        assert not re.search(r"[\r\n]", rendered)
        assert rendered == rendered.strip()
        assert len(rendered) <= MAX_CHARACTERS.get(part, MAX_SMS_SEPTETS)


@each_template
@each_locale
def test_variables_of_the_subject_cannot_carry_a_line_break(template_id: str, locale: str) -> None:
    properties = describe(template_id)["variables"]["properties"]
    used = meta.find_undeclared_variables(parse(path_of(template_id, locale, "email.subject.txt")))

    for rule in (properties[name] for name in used if properties[name]["type"] == "string"):
        assert not fits("a\r\nBcc: b", rule)


@each_template
@each_locale
def test_sms_is_one_gsm_7_segment(template_id: str, locale: str) -> None:
    for values in samples(template_id):
        text = render(template_id, locale, "sms.txt", values)

        assert set(text) - GSM_7 - GSM_7_EXTENSION == set()
        assert len(text) + sum(character in GSM_7_EXTENSION for character in text) <= MAX_SMS_SEPTETS


@each_template
@each_locale
def test_html_escapes_values_and_text_does_not(template_id: str, locale: str) -> None:
    described = describe(template_id)
    rules = described["variables"]["properties"]
    hostile = {
        name: f'"><script>{name}</script>' if rules[name]["type"] == "string" and "enum" not in rules[name] else value
        for name, value in described["sample"].items()
    }

    html = render(template_id, locale, "email.body.html", hostile)

    assert "script" not in read_mail(html).tags
    assert "&lt;script&gt;" in html
    assert "<script>" in render(template_id, locale, "email.body.txt", hostile)


@each_template
@each_locale
def test_html_mail_is_well_formed_and_loads_nothing(template_id: str, locale: str) -> None:
    for values in samples(template_id):
        mail = read_mail(render(template_id, locale, "email.body.html", values))

        assert mail.languages == [locale]
        assert mail.mismatched == []
        assert mail.open == []
        assert {"title", "h1"} <= mail.tags
        assert not mail.tags & {"script", "img", "link", "iframe", "form", "object"}


@each_template
@each_locale
def test_text_and_html_say_the_same(template_id: str, locale: str) -> None:
    for values in samples(template_id):
        mail = read_mail(render(template_id, locale, "email.body.html", values))
        text = render(template_id, locale, "email.body.txt", values)
        links = set(re.findall(r"https://\S+", text))
        without_links_and_numbering = re.sub(r"https://\S+|(?m:^\d\. )", "", text)

        assert words(without_links_and_numbering) == words(" ".join(mail.text))
        assert links == mail.links


@pytest.mark.parametrize("template_id", MARKETING)
@each_locale
def test_marketing_can_be_unsubscribed_from(template_id: str, locale: str) -> None:
    sample = describe(template_id)["sample"]
    without = {name: value for name, value in sample.items() if name != "unsubscribeUrl"}

    for part in ("email.body.txt", "email.body.html"):
        assert sample["unsubscribeUrl"] in render(template_id, locale, part, sample)
        assert not re.search("Unsubscribe|Abmelden", render(template_id, locale, part, without))
    assert "STOP" in render(template_id, locale, "sms.txt", sample)


def test_layout_is_small_and_works_without_any_variable() -> None:
    mail = read_mail(environment().get_template(LAYOUT).render())

    assert (ROOT / LAYOUT).stat().st_size <= 8 * 1024
    assert meta.find_undeclared_variables(parse(LAYOUT)) == {"brandName", "brandColor", "brandAddress"}
    assert (mail.languages, mail.mismatched) == (["en"], [])
