"""Contract of the built-in notification templates in shared/templates (requirement S2-09).

Takes the template files as they are shipped and renders them the way the app does: Jinja2's sandbox, strict about
undefined variables, HTML parts escaped. Gives confidence that a template can be published without a look at its
source. The SMS alphabet and its limits are those of 3GPP TS 23.038, section 6.2.1 (default alphabet, extension table).
"""

import re
from html.parser import HTMLParser
from itertools import product

import pytest
from jinja2 import UndefinedError, meta, nodes

from tests.contract.built_in_templates import (
    ALLOWED_FILTERS,
    ALLOWED_NODES,
    CHAT_PARTS,
    EVERY_PART,
    GSM_7,
    GSM_7_EXTENSION,
    IDS,
    LAYOUT,
    LOCALES,
    MARKETING,
    MAX_CHARACTERS,
    MAX_CHAT_CHARACTERS,
    MAX_SMS_SEPTETS,
    ONE_LINE_PARTS,
    PARTS,
    RELEASES,
    ROOT,
    SOURCES,
    VOID_TAGS,
    WITH_CHAT,
    describe,
    each_locale,
    each_template,
    environment,
    fits,
    parse,
    parts_of,
    path_of,
    render,
    samples,
)


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
    assert {"/".join(each.parts[-3:-1]) for each in ROOT.glob("*/*/template.json")} == set(RELEASES)


@pytest.mark.parametrize("release", WITH_CHAT)
def test_a_later_version_says_everything_an_earlier_one_says(release: str) -> None:
    """So a consumer who pins no version notices nothing but that there are more channels."""
    earlier = f"{release.partition('/')[0]}/1.0.0"

    for locale, part in product(LOCALES, PARTS):
        assert (ROOT / path_of(release, locale, part)).read_bytes() == (
            ROOT / path_of(earlier, locale, part)
        ).read_bytes()
    assert describe(release)["variables"] == describe(earlier)["variables"]


@pytest.mark.parametrize("release", WITH_CHAT)
@each_locale
@pytest.mark.parametrize("part", CHAT_PARTS)
def test_chat_messages_are_short_and_lay_out_nothing(release: str, locale: str, part: str) -> None:
    for values in samples(release):
        rendered = render(release, locale, part, values)

        assert len(rendered) <= MAX_CHAT_CHARACTERS
        assert not re.search(r"[<>&|`~_]", rendered)


@each_template
def test_description_is_complete(release: str) -> None:
    described = describe(release)

    assert set(described) == {
        "id", "version", "state", "category", "description",
        "channels", "locales", "defaultLocale", "variables", "sample",
    }  # fmt: skip
    assert (f"{described['id']}/{described['version']}", described["state"]) == (release, "published")
    assert described["description"]
    assert described["category"] in {"transactional", "security", "marketing"}
    assert (described["category"] == "marketing") == (described["id"] in MARKETING)
    assert described["channels"] == ["email", "sms", "push", *(["slack", "whatsapp"] if release in WITH_CHAT else [])]
    assert (described["locales"], described["defaultLocale"]) == (list(LOCALES), "en")


@each_template
def test_every_variable_is_described_and_the_sample_shows_all_of_them(release: str) -> None:
    schema, sample = describe(release)["variables"], describe(release)["sample"]
    rules = list(schema["properties"].values())
    rules += [inner for rule in rules if rule["type"] == "array" for inner in rule["items"]["properties"].values()]

    assert set(sample) == set(schema["properties"])
    assert [values for values in samples(release) if not fits(values, schema)] == []
    assert [
        rule for rule in rules if not rule["description"] or not (rule["type"] == "array" or rule["examples"])
    ] == []
    assert [example for rule in rules for example in rule.get("examples", ()) if not fits(example, rule)] == []


@each_template
def test_variables_are_those_the_parts_use(release: str) -> None:
    paths = [path_of(release, *pair) for pair in product(LOCALES, parts_of(release))]

    used = set().union(*(meta.find_undeclared_variables(parse(path)) for path in paths))

    assert used == set(describe(release)["variables"]["properties"])


@pytest.mark.parametrize(("release", "part"), EVERY_PART)
@each_locale
def test_part_renders_in_every_case_whatever_the_whitespace_setting(release: str, locale: str, part: str) -> None:
    for values in samples(release):
        rendered = render(release, locale, part, values)

        assert rendered.strip()
        assert "{{" not in rendered
        assert "{%" not in rendered
        if part != "email.body.html":
            assert rendered == render(release, locale, part, values, trim=True)
            assert "\n\n\n" not in rendered


@each_template
@each_locale
def test_missing_required_variable_fails(release: str, locale: str) -> None:
    described = describe(release)

    for name in described["variables"]["required"]:
        values = {key: value for key, value in described["sample"].items() if key != name}
        for part in ("email.body.txt", "email.body.html"):
            with pytest.raises(UndefinedError, match=name):
                render(release, locale, part, values)


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


@pytest.mark.parametrize(("release", "part"), EVERY_PART)
@each_locale
def test_loops_read_only_declared_attributes(release: str, locale: str, part: str) -> None:
    properties = describe(release)["variables"]["properties"]

    for loop in parse(path_of(release, locale, part)).find_all(nodes.For):
        declared = set(properties[loop.iter.name]["items"]["properties"])
        read = [attribute for attribute in loop.find_all(nodes.Getattr) if attribute.node.name == loop.target.name]
        assert {attribute.attr for attribute in read} <= declared
        # Jinja looks for a method of the dictionary before it looks for the key.
        assert not declared & set(dir(dict))


@each_template
@each_locale
@pytest.mark.parametrize("part", ONE_LINE_PARTS)
def test_one_line_part_has_no_line_break_and_keeps_its_limit(release: str, locale: str, part: str) -> None:
    for values in samples(release):
        rendered = render(release, locale, part, values)

        assert not re.search(r"[\r\n]", rendered)
        assert rendered == rendered.strip()
        assert len(rendered) <= MAX_CHARACTERS.get(part, MAX_SMS_SEPTETS)


@each_template
@each_locale
def test_variables_of_the_subject_cannot_carry_a_line_break(release: str, locale: str) -> None:
    properties = describe(release)["variables"]["properties"]
    used = meta.find_undeclared_variables(parse(path_of(release, locale, "email.subject.txt")))

    for rule in (properties[name] for name in used if properties[name]["type"] == "string"):
        assert not fits("a\r\nBcc: b", rule)


@each_template
@each_locale
def test_sms_is_one_gsm_7_segment(release: str, locale: str) -> None:
    for values in samples(release):
        text = render(release, locale, "sms.txt", values)

        assert set(text) - GSM_7 - GSM_7_EXTENSION == set()
        assert len(text) + sum(character in GSM_7_EXTENSION for character in text) <= MAX_SMS_SEPTETS


@each_template
@each_locale
def test_html_escapes_values_and_text_does_not(release: str, locale: str) -> None:
    described = describe(release)
    rules = described["variables"]["properties"]
    hostile = {
        name: f'"><script>{name}</script>' if rules[name]["type"] == "string" and "enum" not in rules[name] else value
        for name, value in described["sample"].items()
    }

    html = render(release, locale, "email.body.html", hostile)

    assert "script" not in read_mail(html).tags
    assert "&lt;script&gt;" in html
    assert "<script>" in render(release, locale, "email.body.txt", hostile)


@each_template
@each_locale
def test_html_mail_is_well_formed_and_loads_nothing(release: str, locale: str) -> None:
    for values in samples(release):
        mail = read_mail(render(release, locale, "email.body.html", values))

        assert mail.languages == [locale]
        assert mail.mismatched == []
        assert mail.open == []
        assert {"title", "h1"} <= mail.tags
        assert not mail.tags & {"script", "img", "link", "iframe", "form", "object"}


@each_template
@each_locale
def test_text_and_html_say_the_same(release: str, locale: str) -> None:
    for values in samples(release):
        mail = read_mail(render(release, locale, "email.body.html", values))
        text = render(release, locale, "email.body.txt", values)
        links = set(re.findall(r"https://\S+", text))
        without_links_and_numbering = re.sub(r"https://\S+|(?m:^\d\. )", "", text)

        assert words(without_links_and_numbering) == words(" ".join(mail.text))
        assert links == mail.links


@pytest.mark.parametrize("release", [f"{template_id}/1.0.0" for template_id in MARKETING])
@each_locale
def test_marketing_can_be_unsubscribed_from(release: str, locale: str) -> None:
    sample = describe(release)["sample"]
    without = {name: value for name, value in sample.items() if name != "unsubscribeUrl"}

    for part in ("email.body.txt", "email.body.html"):
        assert sample["unsubscribeUrl"] in render(release, locale, part, sample)
        assert not re.search("Unsubscribe|Abmelden", render(release, locale, part, without))
    assert "STOP" in render(release, locale, "sms.txt", sample)


def test_layout_is_small_and_works_without_any_variable() -> None:
    mail = read_mail(environment().get_template(LAYOUT).render())

    assert (ROOT / LAYOUT).stat().st_size <= 8 * 1024
    assert meta.find_undeclared_variables(parse(LAYOUT)) == {
        *("brandName", "brandColor", "brandAddress", "unsubscribeUrl"),
        "unsubscribe_url",  # the service's own
    }
    assert (mail.languages, mail.mismatched) == (["en"], [])
