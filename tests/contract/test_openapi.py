"""The published contract is what the app has, and takes nothing away from what was released."""

import json
import re
from pathlib import Path

import pytest

from shared.contracts.callback_endpoints_api import RegisterCallbackEndpoint
from shared.contracts.examples import CALLBACK_ENDPOINT_EXAMPLE
from shared.contracts.http_api import SubmitNotification
from shared.contracts.openapi import openapi_document
from shared.contracts.operations import OPERATIONS
from shared.contracts.reference_page import reference_page
from tests.fakes.registered_functions import registered_functions
from tools.contract.__main__ import PUBLISHED, contracts
from tools.contract.breaking import breaks_in_api, breaks_in_event

ROOT = Path(__file__).parents[2]


def _routes() -> dict[str, tuple[str, str]]:
    """Function name → (method, path) of every HTTP function of the app."""
    routes = {}
    for name, function in registered_functions().items():
        trigger = function.get_trigger().get_dict_repr()
        if trigger["type"] == "httpTrigger" and name != "unknown_route":
            (method,) = (getattr(each, "value", each) for each in trigger["methods"])
            routes[name] = (method, "/" + trigger["route"])
    return routes


def test_every_http_function_is_an_operation_of_the_contract_and_the_reverse():
    described = {operation.function: (operation.method, operation.path) for operation in OPERATIONS}

    assert _routes() == described


def test_the_role_of_each_operation_is_the_one_its_function_asks_for():
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "functions").glob("*.py"))
    for operation in OPERATIONS:
        body = re.split(r"\n(?=@|\S)", sources.partition(f'function_name("{operation.function}")')[2])
        function = next(part for part in body if part.startswith("async def"))
        asked = re.search(r'caller_with\("([\w.]+)"', function)

        assert (asked.group(1) if asked else None) == operation.role, operation.function


@pytest.mark.parametrize("name", list(contracts()))
def test_the_published_files_are_those_of_this_tree(name: str):
    """`python -m tools.contract` writes them anew."""
    assert json.loads((PUBLISHED / name).read_text("utf-8")) == json.loads(json.dumps(contracts()[name]))


@pytest.mark.parametrize("name", list(contracts()))
def test_nothing_that_was_released_is_taken_away(name: str):
    released = json.loads((PUBLISHED / "released" / name).read_text("utf-8"))
    current = contracts()[name]

    found = breaks_in_api(released, current) if name == "v1.json" else breaks_in_event(name, released, current)

    assert list(found) == []


def test_the_examples_are_valid():
    document = openapi_document()
    submit = document["components"]["schemas"]["SubmitNotification"]

    SubmitNotification.model_validate_json(json.dumps(submit["examples"][0]))
    RegisterCallbackEndpoint.model_validate_json(json.dumps(CALLBACK_ENDPOINT_EXAMPLE))


def test_every_reference_leads_somewhere():
    document = openapi_document()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))

    assert names
    assert names <= set(document["components"]["schemas"])


def test_the_page_names_every_operation_and_runs_no_script():
    page = reference_page().decode()

    assert all(f'id="{operation.function}"' in page for operation in OPERATIONS)
    assert "<script" not in page
