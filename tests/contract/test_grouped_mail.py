"""What a recipient gets from a grouped call is, byte for byte, what a call of their own would have brought.

Over the built-in templates and others, with data that tries to be mistaken for tokens and markup, through the sandbox's
substitution (which the app does not know).
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_azure.provider_sandbox.http_exchange import Request
from local_azure.provider_sandbox.sandbox import Sandbox, open_sandbox
from local_azure.provider_sandbox.settings import read_settings
from shared.adapters.built_in_templates import BuiltInTemplates
from shared.adapters.jinja_renderer import JinjaRenderer
from shared.channels.email import EMAIL
from shared.domain.address import EmailAddress
from shared.domain.content import EmailContent
from shared.domain.identifiers import AttemptId, TenantId
from shared.ports import Accepted, HttpAnswer, OutboundMessage, TemplateVersion
from shared.providers.sendgrid import SendGrid, SendGridSettings
from tests.contract.provider_contracts import PUBLIC_KEY

_TEMPLATES = Path(__file__).parents[2] / "shared" / "templates"
_BUILT_IN = sorted(path.parent.parent.name for path in _TEMPLATES.glob("*/*/template.json"))
_RENDERER = JinjaRenderer()
# Constructs beside those of the built-in templates; each is a text, an HTML part and a subject at once.
_OTHERS = (
    "{{ a }}",
    "constant",
    "{{ a }}{{ b }}{{ a }}",
    "{% for x in items %}{{ loop.index }}: {{ x }}{% if not loop.last %}, {% endif %}{% endfor %}.",
    "{% set c = a ~ b %}{{ c | upper }} {{ c | length }}",
    "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m(a) }} and {{ m(b) }}",
    "{% filter upper %}{{ a }}!{% endfilter %}",
    "{% if a == b %}same{% elif a > b %}{{ a }} after {{ b }}{% else %}{{ b }} after {{ a }}{% endif %}",
    "{% extends '_layout/email.html' %}{% block title %}{{ a }}{% endblock %}{% block content %}{{ b }}{% endblock %}",
    "-{{ a }}.0;{{ b }};-",
)
_text = st.text(max_size=8) | st.sampled_from(
    ["", "<b>&\"'", "-", ".0;", "{{ a }}", "%s", "\\", "\r\n", " \u2028", "€" * 5]
)


class SandboxClient:
    """HttpClient straight into the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.calls = 0

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        self.calls += 1
        reply = await self.sandbox.route(Request("POST", "/v3/mail/send", "", dict(headers), body))
        assert reply is not None
        return HttpAnswer(reply.status, {name.lower(): value for name, value in reply.headers}, reply.body)

    async def inbox(self) -> dict[str, dict[str, Any]]:
        """What arrived, by address."""
        reply = await self.sandbox.route(Request("GET", "/messages.json", "limit=1000", {}, b""))
        assert reply is not None
        return {message["recipient"]: message for message in json.loads(reply.body)["messages"]}


def _contents(template: TemplateVersion, locale: str, data: list[dict[str, Any]]) -> list[EmailContent]:
    contents = []
    for each in data:
        parts = _RENDERER.render(template, locale, EMAIL.parts, each)
        content = EMAIL.compose(parts, template.id, each)
        assert isinstance(content, EmailContent)
        contents.append(content)
    return contents


def _message(number: int, content: EmailContent, way: str) -> OutboundMessage:
    attempt = AttemptId(f"acme.01ARZ3NDEKTSV4RRFFQ69G5{number:03d}.email.1")
    return OutboundMessage(attempt, "email", EmailAddress(f"{way}{number}@example.com"), content, "transactional")


async def _send_both_ways(contents: list[EmailContent], folder: Path) -> int:
    """How many calls the grouped way took, after comparing what arrived."""
    own = [_message(number, content, "own") for number, content in enumerate(contents)]
    grouped = [_message(number, content, "grouped") for number, content in enumerate(contents)]
    options = SendGridSettings("http://sandbox.example", "SG.key", "no-reply@example.com", PUBLIC_KEY)
    async with open_sandbox(read_settings({}), folder, 0, 60_000) as sandbox:
        client = SandboxClient(sandbox)
        provider = SendGrid(options, client)
        for message in own:
            await provider.send(message)
        calls_before = client.calls
        for group in provider.divide(grouped):
            members = [grouped[index] for index in group]
            results = await (provider.send_group(members) if len(members) > 1 else _alone(provider, members[0]))
            assert all(isinstance(result, Accepted) for result in results)
        arrived = await client.inbox()
    for number, message in enumerate(grouped):
        mine, theirs = arrived[f"own{number}@example.com"], arrived[f"grouped{number}@example.com"]
        assert {part: theirs["content"].get(part) for part in ("subject", "text", "html")} == {
            part: mine["content"].get(part) for part in ("subject", "text", "html")
        }
        assert theirs["attemptId"] == message.attempt_id
    return client.calls - calls_before


async def _alone(provider: SendGrid, message: OutboundMessage) -> list[Accepted]:
    return [await provider.send(message)]


def _template(source: str) -> TemplateVersion:
    parts = {"email.subject.txt": f"S {source}", "email.body.txt": f"T {source}", "email.body.html": f"<p>{source}</p>"}
    return TemplateVersion(
        id="t", version=source, category="transactional", channels=("email",), default_locale="en", locales=("en",),
        required=(), parts={"en": parts},
    )  # fmt: skip


def _varied(
    draw: Callable[[st.SearchStrategy[Any]], Any], sample: dict[str, Any], required: set[str]
) -> dict[str, Any]:
    """The template's sample with other texts in it, and some of what it can do without left out."""
    kept = {name for name in sample if name in required or draw(st.booleans())}
    return {name: _altered(draw, deepcopy(value)) for name, value in sample.items() if name in kept}


def _altered(draw: Callable[[st.SearchStrategy[Any]], Any], value: Any) -> Any:
    if isinstance(value, str):
        return draw(_text | st.just(value))
    if isinstance(value, list):
        return [_altered(draw, each) for each in value[: draw(st.integers(1, len(value)))]]
    if isinstance(value, dict):
        return {name: _altered(draw, each) for name, each in value.items()}
    return value


@pytest.mark.parametrize("template_id", _BUILT_IN)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_built_in_templates_arrive_as_they_would_alone(template_id: str, data: st.DataObject, tmp_path: Path) -> None:
    template = asyncio.run(BuiltInTemplates().find(TenantId("acme"), template_id, None))
    assert template is not None
    sample = json.loads((_TEMPLATES / template_id / template.version / "template.json").read_text())["sample"]
    locale = data.draw(st.sampled_from(template.locales))
    varied = [_varied(data.draw, sample, set(template.required)) for _ in range(data.draw(st.integers(2, 5)))]

    asyncio.run(_send_both_ways(_contents(template, locale, varied), tmp_path))


@pytest.mark.parametrize("source", _OTHERS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(
        st.fixed_dictionaries({"a": _text, "b": _text, "items": st.lists(_text, max_size=3)}), min_size=2, max_size=5
    )
)
def test_any_template_arrives_as_it_would_alone(source: str, data: list[dict[str, Any]], tmp_path: Path) -> None:
    asyncio.run(_send_both_ways(_contents(_template(source), "en", data), tmp_path))


@pytest.mark.parametrize("template_id", _BUILT_IN)
async def test_fifty_of_a_built_in_template_are_one_call(template_id: str, tmp_path: Path) -> None:
    template = await BuiltInTemplates().find(TenantId("acme"), template_id, None)
    assert template is not None
    sample = json.loads((_TEMPLATES / template_id / template.version / "template.json").read_text())["sample"]
    numbered = [
        {name: f"{value} {n}" if isinstance(value, str) else value for name, value in sample.items()} for n in range(50)
    ]

    assert await _send_both_ways(_contents(template, "en", numbered), tmp_path) == 1
