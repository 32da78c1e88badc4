"""Where consumers want to be called back: register, look up, change, remove."""

import re
import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

from shared.contracts.http_api import CallbackEndpointView, RegisterCallbackEndpoint
from shared.contracts.request_body import read_body
from shared.domain.errors import DestinationRefused, FieldError, InvalidSubmission, NotFound
from shared.pipeline.services import Services
from shared.ports import CallbackEndpoint, Caller

MAX_ENDPOINTS = 20  # per tenant: each one is looked at for every change of every notification
_ENDPOINT_ID = re.compile(r"ep[0-9a-z]{1,16}")
_SECRET_BYTES = 32  # Standard Webhooks: 24 to 64 bytes


async def register_endpoint(body: bytes, caller: Caller, services: Services) -> CallbackEndpointView:
    """The new endpoint with its signing secret, which is shown this once. Raises InvalidSubmission."""
    wanted = _parse(body, services)
    if len(await services.callback_endpoints.list_for(caller.tenant_id)) >= MAX_ENDPOINTS:
        raise InvalidSubmission([FieldError("", f"a tenant has at most {MAX_ENDPOINTS} callback endpoints")])
    secret = "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    endpoint = CallbackEndpoint(
        id=f"ep{secrets.token_hex(8)}",
        tenant_id=caller.tenant_id,
        url=wanted.url,
        statuses=tuple(dict.fromkeys(wanted.statuses)),
        secrets=(secret,),
        created_at=services.clock.now(),
    )
    await services.callback_endpoints.save(endpoint)
    return _view(endpoint).model_copy(update={"secret": secret})


async def list_endpoints(caller: Caller, services: Services) -> Sequence[CallbackEndpointView]:
    """The caller's endpoints, without their secrets."""
    return [_view(endpoint) for endpoint in await services.callback_endpoints.list_for(caller.tenant_id)]


async def read_endpoint(endpoint_id: str, caller: Caller, services: Services) -> CallbackEndpointView:
    """One endpoint, without its secret. Raises NotFound."""
    return _view(await services.callback_endpoints.read(caller.tenant_id, _checked(endpoint_id)))


async def replace_endpoint(endpoint_id: str, body: bytes, caller: Caller, services: Services) -> CallbackEndpointView:
    """The endpoint with another URL and statuses; its secret stays. Enables it again. Raises NotFound."""
    endpoint = await services.callback_endpoints.read(caller.tenant_id, _checked(endpoint_id))
    wanted = _parse(body, services)
    changed = replace(
        endpoint,
        url=wanted.url,
        statuses=tuple(dict.fromkeys(wanted.statuses)),
        enabled=True,
        disabled_reason=None,
    )
    await services.callback_endpoints.change(changed)
    return _view(changed)


async def remove_endpoint(endpoint_id: str, caller: Caller, services: Services) -> None:
    """The endpoint is gone. Raises NotFound."""
    await services.callback_endpoints.delete(caller.tenant_id, _checked(endpoint_id))


def _checked(endpoint_id: str) -> str:
    """The id, which is part of the store's address from here on. Raises NotFound when it is none of ours."""
    if not _ENDPOINT_ID.fullmatch(endpoint_id):
        raise NotFound(endpoint_id)
    return endpoint_id


def _parse(body: bytes, services: Services) -> RegisterCallbackEndpoint:
    wanted = read_body(RegisterCallbackEndpoint, body)
    try:
        services.check_destination(wanted.url)
    except DestinationRefused as error:
        raise InvalidSubmission([FieldError("/url", str(error))]) from error
    return wanted


def _view(endpoint: CallbackEndpoint) -> CallbackEndpointView:
    return CallbackEndpointView(
        id=endpoint.id,
        url=endpoint.url,
        statuses=list(endpoint.statuses),
        state="enabled" if endpoint.enabled else f"disabled:{endpoint.disabled_reason}",
        created_at=endpoint.created_at,
    )
