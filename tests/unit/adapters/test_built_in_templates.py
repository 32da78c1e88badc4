import json
from pathlib import Path

from shared.adapters.built_in_templates import BuiltInTemplates
from shared.domain.identifiers import TenantId

TENANT = TenantId("shop")


def _write(root: Path, name: str, version: str, *, locales: tuple[str, ...] = ("en",)) -> None:
    folder = root / name / version
    facts = {
        "id": name, "version": version, "category": "transactional", "channels": ["sms"], "defaultLocale": "en",
        "locales": list(locales), "variables": {"required": ["name"]},
    }  # fmt: skip
    for locale in locales:
        (folder / locale).mkdir(parents=True)
        (folder / locale / "sms.txt").write_text(f"{locale} {version} {{{{ name }}}}", "utf-8")
    (folder / "template.json").write_text(json.dumps(facts), "utf-8")


async def test_without_a_version_the_newest_is_found_by_number_and_not_by_text(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "1.2.30"):
        _write(tmp_path, "welcome", version)

    found = await BuiltInTemplates(tmp_path).find(TENANT, "welcome", None)

    assert found is not None
    assert found.version == "1.10.0"


async def test_a_pinned_version_is_found_after_a_newer_one_came(tmp_path: Path) -> None:
    _write(tmp_path, "welcome", "1.0.0", locales=("en", "de"))
    _write(tmp_path, "welcome", "2.0.0")

    found = await BuiltInTemplates(tmp_path).find(TENANT, "welcome", "1.0.0")

    assert found is not None
    assert found.parts["de"]["sms.txt"] == "de 1.0.0 {{ name }}"
    assert (found.required, found.locales, found.default_locale) == (("name",), ("en", "de"), "en")


async def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    _write(tmp_path, "welcome", "1.0.0")
    templates = BuiltInTemplates(tmp_path)

    assert await templates.find(TENANT, "welcome", "1.0.1") is None
    assert await templates.find(TENANT, "goodbye", None) is None
    assert await templates.find(TENANT, "../welcome", None) is None
    assert await BuiltInTemplates(tmp_path / "empty").find(TENANT, "welcome", None) is None


async def test_the_shipped_templates_are_read_once() -> None:
    templates = BuiltInTemplates()

    first = await templates.find(TENANT, "welcome-new-user", None)

    assert first is not None
    assert await templates.find(TENANT, "welcome-new-user", first.version) is first
