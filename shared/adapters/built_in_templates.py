"""The templates that ship with the service (shared/templates), read once per process."""

import json
from functools import cached_property
from pathlib import Path

from shared.domain.identifiers import TenantId
from shared.ports import TemplateVersion

ROOT = Path(__file__).parent.parent / "templates"


class BuiltInTemplates:
    """TemplateCatalogue over a folder ``<id>/<version>/<locale>/<part>``; the same for every tenant."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    async def find(self, tenant: TenantId, template_id: str, version: str | None) -> TemplateVersion | None:  # noqa: ARG002 - built-ins belong to all
        versions = self._versions.get(template_id, {})
        if version is not None:
            return versions.get(version)
        return versions[max(versions, key=_order)] if versions else None

    @cached_property
    def _versions(self) -> dict[str, dict[str, TemplateVersion]]:
        found: dict[str, dict[str, TemplateVersion]] = {}
        for description in sorted(self._root.glob("*/*/template.json")):
            template = _read(description)
            found.setdefault(template.id, {})[template.version] = template
        return found


def _read(description: Path) -> TemplateVersion:
    facts = json.loads(description.read_text("utf-8"))
    return TemplateVersion(
        id=facts["id"],
        version=facts["version"],
        category=facts["category"],
        channels=tuple(facts["channels"]),
        default_locale=facts["defaultLocale"],
        locales=tuple(facts["locales"]),
        required=tuple(facts["variables"].get("required", ())),
        parts={
            locale: {part.name: part.read_text("utf-8") for part in sorted((description.parent / locale).iterdir())}
            for locale in facts["locales"]
        },
    )


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
