"""What customers want and how they are reached: /v1/preferences/{customerId}."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.pipeline import preferences
from shared.pipeline.preferences import Condition, PreferencesAnswer

blueprint = func.Blueprint()


@blueprint.function_name("read_preferences")
@blueprint.route(route="v1/preferences/{customerId}", methods=["GET"])
@problems_as_json
async def read_preferences(req: func.HttpRequest) -> func.HttpResponse:
    """The profile, with its version as ETag."""
    caller = await caller_with("Notifications.Read", req)
    return _answer(await preferences.read_preferences(req.route_params["customerId"], caller, services()))


@blueprint.function_name("replace_preferences")
@blueprint.route(route="v1/preferences/{customerId}", methods=["PUT"])
@problems_as_json
async def replace_preferences(req: func.HttpRequest) -> func.HttpResponse:
    """The profile as it is from now on; If-Match and If-None-Match are honoured."""
    caller = await caller_with("Preferences.Write", req)
    customer, body = req.route_params["customerId"], req.get_body()
    return _answer(await preferences.replace_preferences(customer, body, _condition(req), caller, services()))


@blueprint.function_name("change_preferences")
@blueprint.route(route="v1/preferences/{customerId}", methods=["PATCH"])
@problems_as_json
async def change_preferences(req: func.HttpRequest) -> func.HttpResponse:
    """The profile after a JSON merge patch."""
    caller = await caller_with("Preferences.Write", req)
    customer, body = req.route_params["customerId"], req.get_body()
    return _answer(await preferences.change_preferences(customer, body, _condition(req), caller, services()))


def _condition(req: func.HttpRequest) -> Condition:
    if_match = req.headers.get("if-match", "").strip()
    return Condition(if_match or None, if_absent=req.headers.get("if-none-match", "").strip() == "*")


def _answer(found: PreferencesAnswer) -> func.HttpResponse:
    return json_answer(found.answer, 201 if found.is_new else 200, {"ETag": found.etag})
