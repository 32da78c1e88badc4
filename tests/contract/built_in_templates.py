"""What the tests of the built-in templates know of them: which there are, their limits, how they are rendered."""

import json
import re
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemLoader, StrictUndefined, nodes
from jinja2.sandbox import SandboxedEnvironment

ROOT = Path(__file__).parents[2] / "shared" / "templates"
LAYOUT = "_layout/email.html"
IDS = (
    "order-confirmation", "password-reset", "shipping-update", "invoice-paid", "welcome-new-user", "weekly-digest",
    "account-locked", "promotion-flash-sale", "support-ticket-update", "low-stock-alert",
)  # fmt: skip
MARKETING = ("weekly-digest", "promotion-flash-sale")
RELEASES = (*(f"{template_id}/1.0.0" for template_id in IDS), "order-confirmation/1.1.0", "low-stock-alert/1.1.0")
WITH_CHAT = ("order-confirmation/1.1.0", "low-stock-alert/1.1.0")
LOCALES = ("en", "de")
PARTS = ("email.subject.txt", "email.body.txt", "email.body.html", "sms.txt", "push.title.txt", "push.body.txt")
CHAT_PARTS = ("slack.txt", "whatsapp.txt")
ONE_LINE_PARTS = ("email.subject.txt", "sms.txt", "push.title.txt", "push.body.txt")
MAX_CHARACTERS = {"email.subject.txt": 78, "push.title.txt": 50, "push.body.txt": 150}
MAX_CHAT_CHARACTERS = 1024  # WhatsApp's limit for a template, and about what a Slack message shows unfolded
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

each_template = pytest.mark.parametrize("release", RELEASES)
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
def describe(release: str) -> dict[str, Any]:
    return json.loads((ROOT / release / "template.json").read_text(encoding="utf-8"))


def parts_of(release: str) -> tuple[str, ...]:
    return (*PARTS, *CHAT_PARTS) if release in WITH_CHAT else PARTS


def path_of(release: str, locale: str, part: str) -> str:
    return f"{release}/{locale}/{part}"


EVERY_PART = [(release, part) for release in RELEASES for part in parts_of(release)]
SOURCES = [LAYOUT, *(path_of(release, locale, part) for locale, (release, part) in product(LOCALES, EVERY_PART))]


def parse(path: str) -> nodes.Template:
    return environment().parse((ROOT / path).read_text(encoding="utf-8"))


def render(release: str, locale: str, part: str, values: dict[str, Any], *, trim: bool = False) -> str:
    return environment(trim=trim).get_template(path_of(release, locale, part)).render(values)


def samples(release: str) -> list[dict[str, Any]]:
    """The sample; with each value of an enumeration and each least number; without each and all optional variables."""
    sample, schema = describe(release)["sample"], describe(release)["variables"]
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
