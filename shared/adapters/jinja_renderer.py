"""Templates to text with Jinja2's sandbox; compiled once per template version, locale and part.

A text comes with its pieces: what Jinja2 generates one by one, constants of the template and values between them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.adapters.built_in_templates import ROOT
from shared.domain.content import RenderedText
from shared.domain.errors import TemplateUnusable
from shared.domain.notification import JsonValue
from shared.ports import TemplateVersion

MAX_RENDERED_BYTES = 512 * 1024  # per part


class JinjaRenderer:
    """Renderer over Jinja2. HTML parts are escaped, text parts are not; a missing variable is an error."""

    def __init__(self, layouts: Path = ROOT) -> None:
        # The loader serves the shared mail layout only; templates themselves come in as text.
        options: dict[str, Any] = {
            "undefined": StrictUndefined,
            "loader": FileSystemLoader(layouts),
            "auto_reload": False,  # files change with a deployment, not under a running process
        }
        self._html = ImmutableSandboxedEnvironment(autoescape=True, **options)
        self._text = ImmutableSandboxedEnvironment(autoescape=False, **options)
        # Copied for every part otherwise, which takes longer than rendering most of them.
        # A template may ask for the link whether or not there is one.
        self._globals = {**self._text.globals, "unsubscribe_url": ""}
        self._compiled: dict[tuple[str, str, str, str], Template] = {}

    def render(
        self, template: TemplateVersion, locale: str, parts: Sequence[str], data: Mapping[str, JsonValue]
    ) -> Mapping[str, str]:
        sources = template.parts[locale]
        namespace = {**self._globals, **data}
        try:
            return {
                part: _rendered(self._template(template, locale, part, sources[part]), namespace)
                for part in parts
                if part in sources
            }
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise TemplateUnusable(type(error).__name__) from error

    def _template(self, template: TemplateVersion, locale: str, part: str, source: str) -> Template:
        key = (template.id, template.version, locale, part)
        if key not in self._compiled:
            environment = self._html if part.endswith(".html") else self._text
            self._compiled[key] = environment.from_string(source)
        return self._compiled[key]


def _rendered(template: Template, namespace: dict[str, Any]) -> RenderedText:
    text = RenderedText.of(template.root_render_func(template.new_context(namespace, shared=True)))
    if len(text) > MAX_RENDERED_BYTES:
        raise TemplateUnusable("too long when rendered")
    return text
