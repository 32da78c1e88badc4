"""What operators decide for a tenant: read it, replace it as a whole.

A replacement names the version it was decided on, so that of two operators who read the same policy one is told.
"""

import hashlib
import logging
import re
from dataclasses import dataclass

import orjson

from shared.contracts.entity_tag import entity_tag
from shared.contracts.request_body import read_body
from shared.contracts.tenant_policy_api import MAX_POLICY_BYTES, ReplaceTenantPolicy, TenantPolicyView
from shared.domain.audit_chain import AuditFact
from shared.domain.errors import FieldError, InvalidSubmission, NotFound, VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.tenant_policy import PolicyVersion
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """A policy's JSON and the entity tag of its version."""

    answer: bytes
    etag: str


async def read_policy(tenant: str, services: Services) -> PolicyAnswer:
    """What holds for the tenant; the defaults where nothing was decided. Raises NotFound: no tenant has such a name."""
    return _answer(await services.policies.read(_checked(tenant)))


async def replace_policy(
    tenant: str, body: bytes, if_match: str | None, caller: Caller, services: Services
) -> PolicyAnswer:
    """What holds from now on; other processes follow within half a minute.

    Raises:
        InvalidSubmission: the policy can't be meant, or no version is named (428).
        VersionChanged: ``if_match`` is not the version there is.
    """
    name = _checked(tenant)
    wanted = _parse(body, services)
    if not if_match:
        raise InvalidSubmission([FieldError("", "needs If-Match with the ETag of the policy as read")], status=428)
    current = await services.policies.read(name)
    if if_match.strip() != entity_tag(current.version):
        raise VersionChanged("the policy was changed after it was read")
    await services.audit.append(_decision(name, wanted, if_match.strip(), caller, services))
    replaced = await services.policies.replace(name, wanted.to_domain(), current.version)
    logger.info("Tenant policy replaced", extra={"tenant_id": name, "operator": caller.application_id})
    return _answer(replaced)


def _decision(
    tenant: TenantId, wanted: ReplaceTenantPolicy, replaced: str, caller: Caller, services: Services
) -> AuditFact:
    policy = TenantPolicyView.of(wanted.to_domain()).to_json()
    what = hashlib.sha256(b"\n".join((replaced.encode(), caller.application_id.encode(), policy))).hexdigest()
    return AuditFact(
        event_id=f"tenant_policy.replace:{tenant}:{what[:32]}",
        tenant_id=tenant,
        at=services.clock.now(),
        actor=caller.application_id,
        action="tenant_policy.replace",
        subject=tenant,
        detail={"replaces": replaced, "policy": orjson.loads(policy)},
    )


def _checked(tenant: str) -> TenantId:
    """The tenant, whose name is part of the store's address from here on. Raises NotFound."""
    if not _TENANT.fullmatch(tenant):
        raise NotFound(tenant)
    return TenantId(tenant)


def _parse(body: bytes, services: Services) -> ReplaceTenantPolicy:
    wanted = read_body(ReplaceTenantPolicy, body, MAX_POLICY_BYTES)
    known = {channel: {each.name for each in candidates} for channel, candidates in services.providers.items()}
    strangers = [
        FieldError(f"/providers/{channel}/{index}/name", f"{share.name} is not configured for channel {channel}")
        for channel, shares in wanted.providers.items()
        for index, share in enumerate(shares)
        if share.name not in known.get(channel, set())
    ]
    if strangers:
        raise InvalidSubmission(strangers)
    return wanted


def _answer(found: PolicyVersion) -> PolicyAnswer:
    return PolicyAnswer(TenantPolicyView.of(found.policy).to_json(), entity_tag(found.version))
