"""Make, list, rotate and revoke API keys. A tenant's own application does it, or an operator for any tenant.

What is about to be done stands in the audit trail first, as for all operators' acts. Nobody hands out a role that they
do not have themselves, unless they are operators; and no key carries an operator's role.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.contracts.api_keys_api import (
    DEFAULT_LIFETIME,
    MAX_KEY_BODY_BYTES,
    MAX_LIFETIME,
    ApiKeyParameters,
    ApiKeysView,
    ApiKeyView,
    CreateApiKey,
    ReplaceRecipients,
    RotateApiKey,
)
from shared.contracts.request_body import read_body
from shared.domain.api_key import MAX_KEYS, ApiKey, KeyDigest, KeyKind, digest_of, is_id, new_key, recipient_mark
from shared.domain.audit_chain import AuditFact
from shared.domain.errors import Conflict, FieldError, InvalidSubmission, NotAuthorised, NotFound
from shared.domain.identifiers import TenantId
from shared.domain.notification import JsonValue
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)

_OPERATOR = "Operations.Write"
_RACES = 5


async def create_key(body: bytes, caller: Caller, services: Services) -> ApiKeyView:
    """The new key, with its secret. Raises InvalidSubmission, NotAuthorised, StoreUnavailable."""
    asked = read_body(CreateApiKey, body, MAX_KEY_BODY_BYTES)
    tenant = _tenant_of(asked.tenant, caller)
    now = services.clock.now()
    expires_at = asked.expires_at or now + DEFAULT_LIFETIME
    _check(asked, expires_at, caller, now)
    active = [each for each in await services.api_keys.list_for(tenant) if each.is_active(now)]
    if len(active) >= MAX_KEYS:
        raise InvalidSubmission([FieldError("", f"there are {MAX_KEYS} keys already; revoke one first")])
    key_id, secret = new_key(asked.kind)
    key = ApiKey(
        id=key_id,
        tenant_id=tenant,
        kind=asked.kind,
        name=asked.name,
        roles=frozenset(asked.roles),
        digests=(KeyDigest(digest_of(secret)),),
        created_at=now,
        created_by=caller.application_id,
        expires_at=expires_at,
        recipients=_marks(asked.recipients or [], tenant, services),
    )
    detail: dict[str, JsonValue] = {"kind": key.kind.value, "roles": [*sorted(key.roles)]}
    await _record("api_key.create", key, caller, detail, services)
    await services.api_keys.create(key)
    return ApiKeyView.of(key, now, secret)


async def list_keys(parameters: ApiKeyParameters, caller: Caller, services: Services) -> ApiKeysView:
    """The tenant's keys, newest first. Raises NotAuthorised, StoreUnavailable."""
    found = await services.api_keys.list_for(_tenant_of(parameters.tenant, caller))
    now = services.clock.now()
    newest = sorted(found, key=lambda each: each.created_at, reverse=True)
    return ApiKeysView(keys=[ApiKeyView.of(each, now) for each in newest])


async def rotate_key(key_id: str, body: bytes, caller: Caller, services: Services) -> ApiKeyView:
    """The key with another secret; the one before is valid for the overlap. Raises NotFound, Conflict."""
    asked = read_body(RotateApiKey, body or b"{}", MAX_KEY_BODY_BYTES)
    known, now = await _read(key_id, caller, services), services.clock.now()
    if not known.is_active(now):
        raise InvalidSubmission([FieldError("", "the key has expired or was revoked; make another one")])
    until = now + timedelta(hours=asked.overlap_hours)
    _, secret = new_key(known.kind, known.id)
    detail: dict[str, JsonValue] = {"overlapHours": asked.overlap_hours}
    await _record("api_key.rotate", known, caller, detail, services)
    rotated = await _change(known, lambda key: key.rotated(digest_of(secret), until), services)
    return ApiKeyView.of(rotated, now, secret)


async def replace_recipients(key_id: str, body: bytes, caller: Caller, services: Services) -> ApiKeyView:
    """The key with another list of recipients. Raises NotFound, InvalidSubmission, Conflict."""
    asked = read_body(ReplaceRecipients, body, MAX_KEY_BODY_BYTES)
    known = await _read(key_id, caller, services)
    if known.kind is not KeyKind.TEAM:
        raise InvalidSubmission([FieldError("", f"a key of kind {known.kind} has no list of recipients")])
    marks = _marks(asked.recipients, known.tenant_id, services)
    await _record("api_key.recipients", known, caller, {"recipients": len(marks)}, services)
    changed = await _change(known, lambda key: replace(key, recipients=marks), services)
    return ApiKeyView.of(changed, services.clock.now())


async def revoke_key(key_id: str, caller: Caller, services: Services) -> None:
    """The key is refused from now on; in other processes within half a minute. Raises NotFound, Conflict."""
    known, now = await _read(key_id, caller, services), services.clock.now()
    if known.revoked_at:
        return
    await _record("api_key.revoke", known, caller, {}, services)
    await _change(known, lambda key: replace(key, revoked_at=key.revoked_at or now), services)


def _tenant_of(asked: str | None, caller: Caller) -> TenantId:
    if asked is None or asked == caller.tenant_id:
        return caller.tenant_id
    if _OPERATOR not in caller.roles:
        raise NotAuthorised(f"the role {_OPERATOR} is required for another tenant's keys")
    return TenantId(asked)


def _check(asked: CreateApiKey, expires_at: datetime, caller: Caller, now: datetime) -> None:
    if not now < expires_at <= now + MAX_LIFETIME:
        raise InvalidSubmission([FieldError("/expiresAt", f"is not within the next {MAX_LIFETIME.days} days")])
    if _OPERATOR in caller.roles:
        return
    beyond = [
        FieldError(f"/roles/{index}", "is not a role of yours")
        for index, role in enumerate(asked.roles)
        if role not in caller.roles
    ]
    if beyond:
        raise InvalidSubmission(beyond)


def _marks(recipients: list[str], tenant: TenantId, services: Services) -> frozenset[str]:
    return frozenset(recipient_mark(services.bucket_secret, tenant, each) for each in recipients)


async def _read(key_id: str, caller: Caller, services: Services) -> ApiKey:
    key = await services.api_keys.read(key_id) if is_id(key_id) else None
    if key is None or (key.tenant_id != caller.tenant_id and _OPERATOR not in caller.roles):
        raise NotFound(key_id)
    return key


async def _change(key: ApiKey, change: Callable[[ApiKey], ApiKey], services: Services) -> ApiKey:
    """The key, changed; on a newer version when it was merely used meanwhile."""
    current: ApiKey | None = key
    for _ in range(_RACES):
        if current is None:
            raise NotFound(key.id)
        if (current.digests, current.revoked_at, current.recipients) != (key.digests, key.revoked_at, key.recipients):
            raise Conflict("the key was changed meanwhile")
        changed = change(current)
        if await services.api_keys.replace(changed):
            services.known_keys.forget(key.id)
            return changed
        current = await services.api_keys.read(key.id)
    raise Conflict("the key was changed under every attempt")


async def _record(
    action: str, key: ApiKey, caller: Caller, detail: Mapping[str, JsonValue], services: Services
) -> None:
    state = hashlib.sha256(f"{key.version}{services.clock.now().isoformat()}".encode()).hexdigest()[:16]
    fact = AuditFact(
        event_id=f"{action}:{key.id}:{state}",
        tenant_id=key.tenant_id,
        at=services.clock.now(),
        actor=caller.application_id,
        action=action,
        subject=key.id,
        detail=detail,
    )
    await services.audit.append(fact)
    logger.info("API key administered", extra={"action": action, "key_id": key.id, "tenant_id": key.tenant_id})
