"""The project's order-confirmation mail as the peers take it: three Jinja2 sources, rendered with the shared layout.

Standard library and jinja2 only, because the peers' own environment runs it.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

_TEMPLATES = Path(__file__).parents[2] / "shared" / "templates"
_FOLDER = _TEMPLATES / "order-confirmation" / "1.0.0" / "en"
_FILES = {"subject": "email.subject.txt", "body": "email.body.txt", "html_body": "email.body.html"}
TEMPLATE_KEY = "ORDER_CONFIRMATION"


def sources() -> dict[str, str]:
    """Column of seed 002's templates table → Jinja2 source."""
    return {column: (_FOLDER / name).read_text(encoding="utf-8") for column, name in _FILES.items()}


class MailRenderer:
    """Compiles each source once."""

    def __init__(self) -> None:
        loader = FileSystemLoader(_TEMPLATES)
        self._html = Environment(autoescape=True, undefined=StrictUndefined, loader=loader)
        self._text = Environment(autoescape=False, undefined=StrictUndefined)  # noqa: S701 - text parts have no markup
        self._compiled: dict[tuple[str, str], Template] = {}

    def render(self, parts: dict[str, str], data: dict[str, Any]) -> dict[str, str]:
        """The same parts, rendered."""
        return {part: self._template(part, source).render(data) for part, source in parts.items()}

    def _template(self, part: str, source: str) -> Template:
        key = (part, source)
        if key not in self._compiled:
            environment = self._html if part == "html_body" else self._text
            self._compiled[key] = environment.from_string(source)
        return self._compiled[key]


def sendgrid_mail(notification_id: str, address: str, rendered: dict[str, str]) -> dict[str, Any]:
    """The Mail Send body, the same one CNS posts."""
    return {
        "personalizations": [{"to": [{"email": address}]}],
        "from": {"email": "notifications@peer.example"},
        "subject": rendered["subject"],
        "content": [
            {"type": "text/plain", "value": rendered["body"]},
            {"type": "text/html", "value": rendered["html_body"]},
        ],
        "custom_args": {"attempt_id": f"{notification_id}.email.1"},
    }
