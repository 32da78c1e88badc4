"""The links by which recipients unsubscribe: /v1/unsubscribe/{token}. The signed token is the credential."""

import azure.functions as func

from functions.http_edge import problems_as_json
from shared.bootstrap import services
from shared.contracts.unsubscribe_page import PAGE_HEADERS
from shared.pipeline import unsubscribe

blueprint = func.Blueprint()


@blueprint.function_name("show_unsubscribe_page")
@blueprint.route(route="v1/unsubscribe/{token}", methods=["GET"])
@problems_as_json
async def show_unsubscribe_page(req: func.HttpRequest) -> func.HttpResponse:
    """A page with a button; looking at it changes nothing."""
    page = await unsubscribe.show_link(req.route_params["token"], _languages(req), services())
    return func.HttpResponse(page, mimetype="text/html", headers=dict(PAGE_HEADERS))


@blueprint.function_name("follow_unsubscribe_link")
@blueprint.route(route="v1/unsubscribe/{token}", methods=["POST"])
@problems_as_json
async def follow_unsubscribe_link(req: func.HttpRequest) -> func.HttpResponse:
    """Unsubscribes, in one click (RFC 8058) or by the page's button."""
    form = req.get_body()[:1000].decode(errors="replace")
    page = await unsubscribe.follow_link(req.route_params["token"], form, _languages(req), services())
    return func.HttpResponse(page, mimetype="text/html", headers=dict(PAGE_HEADERS))


def _languages(req: func.HttpRequest) -> str:
    return str(req.headers.get("accept-language", ""))
