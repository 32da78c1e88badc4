"""Receipts from providers: POST /v1/receipts/{provider}."""

from urllib.parse import urlsplit

import azure.functions as func

from functions.http_edge import problems_as_json
from shared.bootstrap import services
from shared.pipeline import receipts
from shared.ports import ReceiptRequest

blueprint = func.Blueprint()


@blueprint.function_name("receive_receipts")
@blueprint.route(route="v1/receipts/{provider}", methods=["POST"])
@problems_as_json
async def receive_receipts(req: func.HttpRequest) -> func.HttpResponse:
    """204 once the broker has what was said, 200 where the vendor hears more; signature or key is the credential."""
    url = urlsplit(req.url)
    request = ReceiptRequest(
        path_and_query=f"{url.path}?{url.query}" if url.query else url.path,
        query=dict(req.params),
        headers={name.lower(): value for name, value in req.headers.items()},
        body=req.get_body(),
    )
    taken = await receipts.receive_receipts(req.route_params["provider"], request, services())
    if taken.answer is not None:
        return func.HttpResponse(taken.answer, mimetype=taken.media_type)
    return func.HttpResponse(status_code=204)
