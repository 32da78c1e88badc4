"""Deliver as the tenant's policy decides: for real, or as a shadow (``mode: shadow``, or outside ``live_percent``).

A shadow goes the whole way: bus, claim, consent, rendering, record. Only its provider is one that calls nobody, so it
uses up no turn of a real provider and tells nothing about its health. The delivery ends suppressed, ``shadow_mode``.
The policy is asked when the delivery is about to be sent, not when it was accepted: a flip acts at once, in both
directions, on whatever is not sent yet, and nothing waits for it.
"""

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import StoreUnavailable, Withheld
from shared.domain.identifiers import TenantId
from shared.domain.suppression import Suppression
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.deliver import deliver
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away
from shared.ports import Accepted, OutboundMessage

SHADOW = "shadow"  # stands where a provider's name stands in the records of attempts


class ShadowProvider:
    """A provider that takes nothing and calls nobody."""

    name = SHADOW

    def __init__(self, channel: str) -> None:
        self.channel = channel

    async def send(self, message: OutboundMessage) -> Accepted:  # noqa: ARG002 - a provider's signature
        """Raises Withheld."""
        raise Withheld(Suppression.SHADOW_MODE)


async def deliver_as_decided(chunk: Chunk, services: Services) -> None:
    """Every delivery of the chunk has been attempted as the policy says, or is someone else's to attempt.

    Raises:
        StoreUnavailable, PublishFailed: the message should be delivered again; nothing that was sent is sent twice.
    """
    policy = await _policy_of(chunk.tenant_id, services)
    if not policy.may_withhold:
        await deliver(chunk, services)
        return
    live = [item for item in chunk.items if policy.is_live_for(chunk.tenant_id, _whom(item))]
    kept = set(live)
    shadows = [item for item in chunk.items if item not in kept]
    if shadows:
        await deliver(_part(chunk, shadows), _as_shadow(chunk.channel, services))
    if live:
        await deliver(_part(chunk, live), services)


async def _policy_of(tenant: TenantId, services: Services) -> TenantPolicy:
    """The policy that holds. Raises StoreUnavailable: to assume one might send what another system sends."""

    async def known() -> TenantPolicy:
        policy = await services.policies.find(tenant)
        if policy.is_assumed:
            raise StoreUnavailable("the tenant's policy can't be read")
        return policy

    return await while_store_is_away(known, services.patience.store)


def _whom(item: ChunkItem) -> str:
    """Whose share counts: the customer's, so that all of one customer's notifications come from one system."""
    return item.customer_id or item.tracking_id


def _part(chunk: Chunk, items: Sequence[ChunkItem]) -> Chunk:
    return chunk if len(items) == len(chunk.items) else replace(chunk, items=tuple(items))


def _as_shadow(channel: str, services: Services) -> Services:
    return replace(services, providers={**services.providers, channel: (ShadowProvider(channel),)})
