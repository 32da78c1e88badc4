"""What a tenant is told of its limits with each answer to a submission.

https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html. Tenants without limits are told nothing.
"""

from math import ceil

from shared.domain.errors import RateExceeded
from shared.domain.identifiers import TenantId
from shared.pipeline.quotas import DAY_SECONDS
from shared.pipeline.services import Services


async def limits_told(tenant: TenantId, services: Services) -> dict[str, str]:
    """The headers: the tenant's limits, and how much of its day's quota is left where this process knows."""
    policy = await services.policies.find(tenant)
    limits = [_per_second(policy.requests_per_second)] if policy.requests_per_second else []
    headers = {}
    if policy.requests_per_day:
        limits.append(_per_day(policy.requests_per_day))
        quotas = services.lanes.admission.quotas
        left = quotas.left(tenant, policy.requests_per_day) if quotas else None
        if quotas and left is not None:
            headers["RateLimit"] = f'"day";r={left};t={ceil(quotas.seconds_to_midnight())}'
    return headers | ({"RateLimit-Policy": ", ".join(limits)} if limits else {})


def limits_exceeded(error: RateExceeded, retry_after: str) -> dict[str, str]:
    """The headers of a refusal."""
    if error.per_day:
        return {"RateLimit-Policy": _per_day(error.per_day), "RateLimit": f'"day";r=0;t={retry_after}'}
    if error.per_second:
        return {"RateLimit-Policy": _per_second(error.per_second), "RateLimit": f'"tenant";r=0;t={retry_after}'}
    return {}


def _per_second(limit: float) -> str:
    window = max(1, ceil(1 / limit))
    return f'"tenant";q={max(1, int(limit * window))};w={window}'


def _per_day(limit: int) -> str:
    return f'"day";q={limit};w={DAY_SECONDS}'
