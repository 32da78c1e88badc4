"""Where consumers want to be called back: register, look up, change, test, give new secrets, remove.

What changes an endpoint is in the audit trail before it is done.
"""

import re
import secrets
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from shared.contracts.callback_endpoints_api import (
    MAX_BODY_BYTES,
    CallbackEndpointListView,
    CallbackEndpointView,
    CallbackTestView,
    RegisterCallbackEndpoint,
    RotateSecret,
)
from shared.contracts.callback_payload import EndpointEventItem
from shared.contracts.request_body import read_body
from shared.domain.audit_chain import AuditFact
from shared.domain.callback_endpoint import MAX_SECRETS, CallbackEndpoint, SigningSecret
from shared.domain.errors import DestinationRefused, FieldError, InvalidSubmission, NotFound
from shared.domain.notification import JsonValue
from shared.domain.reply_excerpt import excerpt
from shared.pipeline.callback_endpoint_store import change_endpoint
from shared.pipeline.callback_post import post_signed
from shared.pipeline.services import Services
from shared.ports import Caller

MAX_ENDPOINTS = 20  # per tenant: each one is looked at for every change of every notification
_ENDPOINT_ID = re.compile(r"ep[0-9a-z]{1,16}")
_SECRET_BYTES = 32  # Standard Webhooks: 24 to 64 bytes


async def register_endpoint(body: bytes, caller: Caller, services: Services) -> CallbackEndpointView:
    """The new endpoint with its signing secret, which is shown this once. Raises InvalidSubmission."""
    wanted = _parse(body, services)
    # Of requests in the same instant each may still find room: the number is a guard, not a promise.
    if len(await services.callback_endpoints.list_now(caller.tenant_id)) >= MAX_ENDPOINTS:
        raise InvalidSubmission([FieldError("", f"a tenant has at most {MAX_ENDPOINTS} callback endpoints")])
    now = services.clock.now()
    secret = _new_secret(services)
    endpoint = CallbackEndpoint(
        id=f"ep{secrets.token_hex(8)}",
        tenant_id=caller.tenant_id,
        url=wanted.url,
        statuses=tuple(dict.fromkeys(wanted.statuses)),
        secrets=(secret,),
        created_at=now,
        description=wanted.description,
        metadata=wanted.metadata,
    )
    await _audit("register", endpoint, caller, services, **_told(wanted))
    await services.callback_endpoints.create(endpoint)
    return CallbackEndpointView.of(endpoint, now, secret.value)


async def list_endpoints(caller: Caller, services: Services) -> CallbackEndpointListView:
    """The caller's endpoints, without their secrets."""
    now = services.clock.now()
    endpoints = await services.callback_endpoints.list_now(caller.tenant_id)
    return CallbackEndpointListView(endpoints=[CallbackEndpointView.of(endpoint, now) for endpoint in endpoints])


async def read_endpoint(endpoint_id: str, caller: Caller, services: Services) -> CallbackEndpointView:
    """One endpoint, without its secret. Raises NotFound."""
    return CallbackEndpointView.of(await find_endpoint(endpoint_id, caller, services), services.clock.now())


async def replace_endpoint(endpoint_id: str, body: bytes, caller: Caller, services: Services) -> CallbackEndpointView:
    """The endpoint as the body says; its secrets stay. Enables it again. Raises NotFound, InvalidSubmission."""
    endpoint = await find_endpoint(endpoint_id, caller, services)
    wanted = _parse(body, services)
    await _audit("change", endpoint, caller, services, **_told(wanted))

    def changed(stored: CallbackEndpoint) -> CallbackEndpoint:
        return replace(
            stored.enabled_again(),
            url=wanted.url,
            statuses=tuple(dict.fromkeys(wanted.statuses)),
            description=wanted.description,
            metadata=wanted.metadata,
        )

    return await _changed(endpoint, changed, services)


async def remove_endpoint(endpoint_id: str, caller: Caller, services: Services) -> None:
    """The endpoint is gone. Raises NotFound."""
    endpoint = await find_endpoint(endpoint_id, caller, services)
    await _audit("remove", endpoint, caller, services)
    await services.callback_endpoints.delete(caller.tenant_id, endpoint.id)


async def try_endpoint(endpoint_id: str, caller: Caller, services: Services) -> CallbackTestView:
    """What came of a test event that was posted now, to a disabled endpoint too. Raises NotFound."""
    endpoint = await find_endpoint(endpoint_id, caller, services)
    event = EndpointEventItem(
        event="test", about_endpoint=endpoint.id, key=secrets.token_hex(8), at=services.clock.now()
    )
    posted = await post_signed(event, endpoint, services)
    return CallbackTestView(
        webhook_id=event.webhook_id,
        delivered=posted.problem is None,
        status=posted.http_status,
        problem=posted.problem,
        latency_ms=posted.milliseconds,
        reply=excerpt(posted.reply),
    )


async def rotate_secret(endpoint_id: str, body: bytes, caller: Caller, services: Services) -> CallbackEndpointView:
    """The endpoint with a new secret, shown this once; the one before stays valid for as long as the body says.

    It takes as long as processes keep what they know of endpoints: afterwards every callback is signed with both.

    Raises:
        NotFound: there is no such endpoint.
        InvalidSubmission: the overlap is out of bounds, or too many secrets are valid at once.
    """
    wanted = read_body(RotateSecret, body or b"{}", MAX_BODY_BYTES)
    endpoint = await find_endpoint(endpoint_id, caller, services)
    secret = _new_secret(services)
    await _audit("rotate_secret", endpoint, caller, services, secret=secret.id, overlapHours=wanted.overlap_hours)

    def rotated(stored: CallbackEndpoint) -> CallbackEndpoint:
        changed = stored.with_secret(secret, wanted.overlap)
        if len(changed.secrets) > MAX_SECRETS:
            raise InvalidSubmission([FieldError("", f"at most {MAX_SECRETS} secrets are valid at once; revoke one")])
        return changed

    view = await _changed(endpoint, rotated, services)
    await services.callback_endpoints.seen_everywhere()
    return view.model_copy(update={"secret": secret.value})


async def revoke_secret(endpoint_id: str, secret_id: str, caller: Caller, services: Services) -> CallbackEndpointView:
    """The endpoint without a secret that another has taken the place of. Raises NotFound, InvalidSubmission."""
    endpoint = await find_endpoint(endpoint_id, caller, services)
    await _audit("revoke_secret", endpoint, caller, services, secret=secret_id[:32])

    def revoked(stored: CallbackEndpoint) -> CallbackEndpoint:
        if secret_id not in {each.id for each in stored.secrets}:
            raise NotFound(secret_id)
        if stored.secrets[0].id == secret_id:
            raise InvalidSubmission([FieldError("", "the current secret can't be revoked; rotate it without overlap")])
        return stored.without_secret(secret_id)

    view = await _changed(endpoint, revoked, services)
    await services.callback_endpoints.seen_everywhere()
    return view


async def find_endpoint(endpoint_id: str, caller: Caller, services: Services) -> CallbackEndpoint:
    """The caller's endpoint as it is stored. Raises NotFound, also when the id is none of ours."""
    # The id is part of the store's address from here on.
    if not _ENDPOINT_ID.fullmatch(endpoint_id):
        raise NotFound(endpoint_id)
    return await services.callback_endpoints.read_now(caller.tenant_id, endpoint_id)


async def _changed(
    endpoint: CallbackEndpoint, change: Callable[[CallbackEndpoint], CallbackEndpoint], services: Services
) -> CallbackEndpointView:
    changed = await change_endpoint(services.callback_endpoints, endpoint.tenant_id, endpoint.id, change)
    return CallbackEndpointView.of(changed or endpoint, services.clock.now())


def _new_secret(services: Services) -> SigningSecret:
    value = "whsec_" + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    return SigningSecret(f"sk{secrets.token_hex(4)}", value, services.clock.now())


def _parse(body: bytes, services: Services) -> RegisterCallbackEndpoint:
    wanted = read_body(RegisterCallbackEndpoint, body, MAX_BODY_BYTES)
    try:
        services.check_destination(wanted.url)
    except DestinationRefused as error:
        raise InvalidSubmission([FieldError("/url", str(error))]) from error
    return wanted


def _told(wanted: RegisterCallbackEndpoint) -> dict[str, JsonValue]:
    """What the audit trail keeps of it: of the URL only the host, since the rest may hold a consumer's token."""
    return {"host": urlsplit(wanted.url).hostname, "statuses": list(wanted.statuses)}


async def _audit(act: str, endpoint: CallbackEndpoint, caller: Caller, services: Services, **detail: JsonValue) -> None:
    await services.audit.append(
        AuditFact(
            event_id=f"callback_endpoint.{act}:{endpoint.id}:{secrets.token_hex(4)}",
            tenant_id=caller.tenant_id,
            at=services.clock.now(),
            actor=caller.application_id,
            action=f"callback_endpoint.{act}",
            subject=endpoint.id,
            detail=detail,
        )
    )
