"""What the pages say about names (settings, problems, make targets, files) is what the code has, and the reverse."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contracts import problem
from shared.pipeline.services import Patience

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PAGES = sorted(
    page
    for folder in (ROOT, *map(ROOT.joinpath, ("docs", "shared", "tests", "bench", "local_azure")))
    for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
_READERS = {"get", "_required", "_seconds", "_count", "_number", "own_settings", "shared_setting"}
_SETTING = re.compile(r"[A-Z][A-Z0-9]*_[A-Za-z0-9_]+")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def _names_read(source: Path) -> Iterator[str]:
    """Settings that a source file reads, or has the host read for its triggers (``connection=``, ``%NAME%``)."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if called in _READERS:
            yield from filter(_SETTING.fullmatch, texts)
        for keyword in node.keywords:
            value = getattr(keyword.value, "value", None)
            if keyword.arg == "connection" and isinstance(value, str):
                yield value
            elif isinstance(value, str):
                yield from re.findall(r"%([A-Z_]+)%", value)


def _limits() -> set[str]:
    """Settings whose names are made from the providers' (shared/bootstrap.py)."""
    sources = [source.read_text("utf-8") for source in ROOT.glob("shared/providers/*.py")]
    names = [name for source in sources for name in re.findall(r'^    name = "(\w+)"$', source, re.MULTILINE)]
    return {f"{name.upper()}_CALLS_PER_SECOND" for name in names}


def _settings_rows() -> dict[str, list[str]]:
    page = (DOCS / "settings.md").read_text("utf-8").partition("## Not read by the app")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    return {name[1]: row for row in rows if (name := re.fullmatch(r"`([A-Za-z0-9_]+)`", row[0]))}


def _targets(code: str) -> Iterator[str]:
    """The make targets that a piece of code names."""
    for line in re.findall(r"(?:^|[\s(\"`])make((?: +[^\s`\")]+)+)", code):
        for word in line.split():
            if re.fullmatch(r"[a-z][a-z-]*", word):
                yield word
                break
            if not (word.startswith("-") or "=" in word):
                break


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_setting_that_is_read_is_explained_and_no_other() -> None:
    sources = [*ROOT.glob("functions/*.py"), *ROOT.glob("shared/**/*.py")]

    read = {name for source in sources for name in _names_read(source)}

    assert read | _limits() == set(_settings_rows())


def test_documented_patience_is_the_default() -> None:
    documented = {name: row[2] for name, row in _settings_rows().items() if name.endswith("_PATIENCE_SECONDS")}

    default = Patience()
    assert documented == {
        f"{stage.upper()}_PATIENCE_SECONDS": f"`{getattr(default, stage).total_seconds():.0f}`"
        for stage in ("publish", "claim", "in_doubt")
    }


def test_every_problem_type_is_explained_with_its_status_and_no_other() -> None:
    page = (DOCS / "errors.md").read_text("utf-8").partition("## Batches")[0]
    documented = set(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", page, re.MULTILINE))
    raised_elsewhere = {
        ("invalid-request", "400"),
        ("invalid-request", "413"),
        ("invalid-request", "415"),
        ("invalid-request", "428"),
    }  # InvalidSubmission names its own status

    known = {(name, str(status)) for status, name, _ in [*problem._TABLE.values(), problem._FAULT]}

    assert documented == known | raised_elsewhere


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    prose = _CODE.sub("", page.read_text("utf-8"))
    links = [link for link in _LINK.findall(prose) if "://" not in link and not link.startswith("mailto:")]

    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_make_targets_exist(page: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    named = {target for code in _CODE.findall(page.read_text("utf-8")) for target in _targets(code)}

    assert named <= known


def test_index_of_decisions_lists_every_page_under_its_title() -> None:
    index = (DECISIONS / "README.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| \[(\d{4})\]\(([^)]+)\)", index, re.MULTILINE))

    pages = {page.name[:4]: page.name for page in DECISIONS.glob("[0-9]*.md")}

    assert listed == pages
    for number, name in pages.items():
        title = (DECISIONS / name).read_text("utf-8").splitlines()[0].removeprefix(f"# {number} ")
        assert f"({name}) | {title}" in index


def test_every_decision_has_the_same_parts() -> None:
    parts = ["Context", "Decision", "Consequences", "Alternatives"]

    for page in DECISIONS.glob("[0-9]*.md"):
        assert re.findall(r"^## (.*)$", page.read_text("utf-8"), re.MULTILINE) == parts, page.name
