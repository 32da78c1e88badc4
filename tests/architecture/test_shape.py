"""How the source is shaped: small files and functions, triggers that only translate, vendors in their own files."""

import ast
import re
import subprocess
import sys

import pytest

from shared.channels import CHANNELS
from tests.architecture.source_tree import APP, ROOT, Source, body_lines_of, lines_of, sources

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_TRIGGER_LINES = 15
PROVIDERS = {
    source.path.stem
    for source in sources("shared/providers")
    if any(function.name == "from_settings" for function in source.functions)
}
# A vendor's name may stand in its file, in the line that registers it, and where it is another thing's name as well.
MAY_NAME_ALL = {"shared/providers/__init__.py"}
MAY_NAME = {
    "twilio": {
        "shared/providers/sendgrid.py",  # SendGrid is Twilio's: its documentation and its headers say so
        "shared/providers/twilio_replies.py",  # the half of it that listens, for WhatsApp as well
        "shared/providers/twilio_whatsapp.py",
    },
    "slack": {"shared/channels/slack.py", "shared/channels/__init__.py"},  # also a channel
    "fcm": {  # also a platform: devices and payloads are FCM's, whoever carries them
        "shared/domain/address.py",
        "shared/channels/push.py",
        "shared/providers/push_payload.py",
        "shared/providers/notification_hubs.py",
    },
}
ORDINARY_WORDS = {"webhook", "smtp"}  # also a channel, and what callbacks are; also a protocol
VAGUE = {"utils", "util", "helpers", "helper", "manager", "common", "misc", "base"}

every_app_file = pytest.mark.parametrize("source", sources(*APP), ids=lambda source: source.name)


@every_app_file
def test_a_file_fits_in_a_head(source: Source) -> None:
    assert source.line_count <= MAX_FILE_LINES


@every_app_file
def test_a_function_fits_on_a_screen(source: Source) -> None:
    assert {function.name: lines_of(function) for function in source.functions if lines_of(function) > 60} == {}


@pytest.mark.parametrize("source", sources("functions"), ids=lambda source: source.name)
def test_a_trigger_decodes_calls_one_use_case_and_encodes(source: Source) -> None:
    triggers = [function for function in source.functions if _is_trigger(function)]

    assert {each.name: body_lines_of(each) for each in triggers if body_lines_of(each) > MAX_TRIGGER_LINES} == {}


def _is_trigger(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return isinstance(function, ast.AsyncFunctionDef) and any(
        "blueprint" in ast.unparse(decorator) for decorator in function.decorator_list
    )


def test_function_app_registers_blueprints_and_nothing_else() -> None:
    [source] = sources("function_app.py")
    docstring, *statements = source.tree.body

    assert isinstance(docstring, ast.Expr)
    for statement in statements:
        text = ast.unparse(statement)
        assert (
            isinstance(statement, ast.Import | ast.ImportFrom)
            or text.startswith("app = func.FunctionApp(")
            or re.fullmatch(r"app\.register_functions\(\w+\.blueprint\)", text)
        ), text


def test_every_file_with_a_blueprint_is_registered() -> None:
    [registry] = sources("function_app.py")
    registered = set(re.findall(r"register_functions\((\w+)\.blueprint\)", ast.unparse(registry.tree)))
    with_blueprint = {each.path.stem for each in sources("functions") if "blueprint = " in ast.unparse(each.tree)}

    assert registered == with_blueprint


@every_app_file
def test_a_vendors_name_stays_in_its_file(source: Source) -> None:
    if source.name in MAY_NAME_ALL:
        return
    text = source.path.read_text("utf-8").lower()
    named = {vendor for vendor in PROVIDERS - ORDINARY_WORDS if re.search(vendor.replace("_", "[_ ]?"), text)}

    assert {
        vendor for vendor in named if source.path.stem != vendor and source.name not in MAY_NAME.get(vendor, set())
    } == set()


def test_the_places_that_may_name_a_vendor_do() -> None:
    for vendor, names in MAY_NAME.items():
        for name in names:
            assert vendor in (ROOT / name).read_text("utf-8").lower(), f"{name} names no {vendor} any more"


def test_every_provider_is_registered() -> None:
    registry = (ROOT / "shared" / "providers" / "__init__.py").read_text("utf-8")

    assert {name for name in PROVIDERS if f"{name}.from_settings," not in registry} == set()


@every_app_file
def test_names_say_what_is_inside(source: Source) -> None:
    assert source.path.stem not in VAGUE


def test_importing_the_app_builds_and_connects_nothing() -> None:
    """Indexing must work on a machine that has no setting at all."""
    code = "import sys, function_app; from shared.bootstrap import services; sys.exit(services.cache_info().currsize)"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={"PATH": ""}, check=False, timeout=30)

    assert done.returncode == 0


def test_a_channel_is_one_file_and_one_line() -> None:
    files = {path.stem for path in (ROOT / "shared" / "channels").glob("*.py")} - {"__init__"}

    assert files == set(CHANNELS)


def test_every_module_with_something_in_it_says_what_it_is_for() -> None:
    silent = [source.name for source in sources(*APP) if source.tree.body and not ast.get_docstring(source.tree)]

    assert silent == []
