"""The extension's HTTP API: takes ASGI requests, gives the status codes that the SDK tells apart.

Shape: the Durable extension's ``HttpApiHandler``. It answers under ``/runtime/webhooks/durabletask`` (system key in
``code=`` or ``x-functions-key``) and, without a key, under the path of the rpc base URL, but only on that port.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

from local_azure.functions_host.durable.asgi import (
    BodyTooLarge,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    json_response,
    query_of,
    read_body,
    send_response,
)
from local_azure.functions_host.durable.entities import Entities
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.links import PUBLIC_PATH, Links
from local_azure.functions_host.durable.operations import OperationRefused, Operations
from local_azure.functions_host.durable.rewinding import Rewinding
from local_azure.functions_host.durable.routes_entities import EntityRoutes
from local_azure.functions_host.durable.routes_instances import InstanceRoutes
from local_azure.functions_host.durable.writer import StoreUnusable

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


class HttpApi:
    """An ASGI application."""

    def __init__(
        self, links: Links, operations: Operations, rewinding: Rewinding, entities: Entities, hub: Hub
    ) -> None:
        self._links = links
        self._rpc_port = urlsplit(links.rpc_base_url).port
        instances = InstanceRoutes(links, operations, rewinding, hub)
        self._controllers: dict[str, Handler] = {
            "orchestrators": instances.orchestrators,
            "instances": instances.instances,
            "entities": EntityRoutes(entities, hub).entities,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            message = f"the durable HTTP API does not speak {scope['type']}"
            raise ValueError(message)
        await send_response(send, await self._answer(scope, receive))

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = query_of(scope)
        refusal, rest = self._admit(scope, headers, query)
        if refusal is not None:
            return refusal
        try:
            body = await read_body(receive)
            segments = [unquote(part, errors="strict") for part in rest.split("/")]
        except BodyTooLarge:
            return json_response(413, {"Message": "The body is too large."})
        except UnicodeDecodeError:
            return json_response(400, {"Message": "The path is not valid UTF-8."})
        origin = f"{scope.get('scheme', 'http')}://{headers.get('host', urlsplit(self._links.public_base_url).netloc)}"
        return await self._handle(Request(scope["method"], segments, query, headers, body, origin))

    def _admit(self, scope: Scope, headers: dict[str, str], query: dict[str, str]) -> tuple[Response | None, str]:
        """A refusal, or the path below the API's own."""
        path = scope.get("raw_path", scope["path"].encode()).split(b"?")[0].decode("latin-1")
        server = scope.get("server")
        on_rpc_port = server is None or server[1] is None or server[1] == self._rpc_port
        if on_rpc_port and path.startswith(f"{self._links.rpc_path}/"):
            return None, path[len(self._links.rpc_path) + 1 :]
        if not path.lower().startswith(f"{PUBLIC_PATH}/"):
            return Response(404), ""
        given = query.get("code") or headers.get("x-functions-key") or ""
        if not hmac.compare_digest(given.encode(), self._links.system_key.encode()):
            return Response(401), ""
        return None, path[len(PUBLIC_PATH) + 1 :]

    async def _handle(self, request: Request) -> Response:
        controller = self._controllers.get(request.segments[0].lower())
        if controller is None:
            return Response(404)
        try:
            return await controller(request)
        except OperationRefused as refusal:
            return json_response(refusal.status, {"Message": str(refusal), "ExceptionMessage": str(refusal)})
        except StoreUnusable as error:
            return json_response(503, {"Message": f"The durable store cannot be used: {error}"})
        except Exception:
            logger.exception("a durable HTTP request failed")
            return json_response(500, {"Message": "Something went wrong while processing your request"})
