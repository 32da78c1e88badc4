"""Keep an eye on consumers' endpoints: who fails gets a rest, who does nothing but fail for days is disabled.

Takes what came of each post. Writes only when something changes (the first failure, a rest, recovery), never for a
callback that simply arrived. What can't be written down is left: the next failure says the same again.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from shared.contracts.callback_payload import CallbackBatch, EndpointEventItem
from shared.domain.audit_chain import AuditFact
from shared.domain.callback_endpoint import DISABLED_AFTER, FAILURES_IN_A_ROW, CallbackEndpoint, EndpointHealth
from shared.domain.errors import Conflict, NotFound, PublishFailed, StoreUnavailable
from shared.pipeline.callback_endpoint_store import change_endpoint
from shared.pipeline.services import CALLBACKS, Services

logger = logging.getLogger(__name__)

GONE = "gone"
FAILING = "failing"
OURSELVES = "cns"  # the actor in the audit trail
_KEY_LENGTH = 12


async def begin_probe(endpoint: CallbackEndpoint, services: Services) -> bool:
    """Whether the caller is to try the endpoint after its rest, for all processes. Raises StoreUnavailable."""

    def probed(stored: CallbackEndpoint) -> CallbackEndpoint | None:
        health = stored.health.while_probed(services.clock.now())
        return None if health is None else replace(stored, health=health)

    try:
        return await _change(endpoint, probed, services) is not None
    except (Conflict, NotFound):
        return False


async def note_success(endpoint: CallbackEndpoint, services: Services) -> None:
    """The endpoint is well."""
    services.endpoint_watch.succeeded(endpoint.id)
    if endpoint.health.is_well:
        return

    def recovered(stored: CallbackEndpoint) -> CallbackEndpoint | None:
        return None if stored.health.is_well else replace(stored, health=EndpointHealth())

    async def note() -> None:
        if await _change(endpoint, recovered, services):
            logger.info("Callback endpoint is well again", extra={"endpoint_id": endpoint.id})

    await _as_far_as_possible(endpoint, note, services)


async def note_failure(endpoint: CallbackEndpoint, services: Services, *, is_probe: bool = False) -> None:
    """The endpoint did not take a callback: it gets a rest when it was one too many, and is disabled after days."""
    in_a_row = services.endpoint_watch.failed(endpoint.id)
    now = services.clock.now()
    needs_rest = is_probe or in_a_row >= FAILURES_IN_A_ROW
    if not needs_rest and not endpoint.health.needs_note(now):
        return

    def failed(stored: CallbackEndpoint) -> CallbackEndpoint | None:
        rests = is_probe or (needs_rest and not stored.health.is_resting(now))
        if not rests and not stored.health.needs_note(now):
            return None
        return replace(stored, health=stored.health.after_failure(now, rests=rests))

    async def note() -> None:
        noted = await _change(endpoint, failed, services)
        if noted is None:
            return
        if noted.health.has_failed_for(now) >= DISABLED_AFTER:
            await _disable(noted, FAILING, now, services)
        elif needs_rest:
            logger.info(
                "Callback endpoint fails; its callbacks wait",
                extra={"endpoint_id": endpoint.id, "rests": noted.health.rests},
            )

    await _as_far_as_possible(endpoint, note, services)


async def disable(endpoint: CallbackEndpoint, reason: str, services: Services) -> None:
    """The endpoint is not called any more, and the tenant's others are told; unless it was changed meanwhile."""

    async def act() -> None:
        stored = await services.callback_endpoints.read_now(endpoint.tenant_id, endpoint.id)
        if stored.enabled and stored.url == endpoint.url:
            await _disable(stored, reason, services.clock.now(), services)

    await _as_far_as_possible(endpoint, act, services)


async def _disable(endpoint: CallbackEndpoint, reason: str, now: datetime, services: Services) -> None:
    # Told before it is done: who dies in between tells it again, under the same id.
    key = hashlib.sha256(str(endpoint.version).encode()).hexdigest()[:_KEY_LENGTH]
    await _tell_others(endpoint, reason, key, now, services)
    await services.audit.append(
        AuditFact(
            event_id=f"callback_endpoint.disable:{endpoint.id}:{key}",
            tenant_id=endpoint.tenant_id,
            at=now,
            actor=OURSELVES,
            action="callback_endpoint.disable",
            subject=endpoint.id,
            detail={"reason": reason},
        )
    )

    def disabled(stored: CallbackEndpoint) -> CallbackEndpoint | None:
        return stored.disabled(reason, now) if stored.enabled else None

    if await _change(endpoint, disabled, services):
        logger.warning("Callback endpoint is disabled", extra={"endpoint_id": endpoint.id, "reason": reason})


async def _tell_others(endpoint: CallbackEndpoint, reason: str, key: str, now: datetime, services: Services) -> None:
    event = EndpointEventItem(
        event="disabled",
        about_endpoint=endpoint.id,
        key=key,
        at=now,
        reason=reason,
        failing_since=endpoint.health.failing_since,
    )
    others = await services.callback_endpoints.list_for(endpoint.tenant_id)
    batches = [
        CallbackBatch(tenant_id=other.tenant_id, partition_key="", endpoint_id=other.id, items=[event])
        for other in others
        if other.enabled and other.id != endpoint.id
    ]
    if batches:
        await services.publisher.publish(CALLBACKS, [batch.to_message() for batch in batches])


async def _change(
    endpoint: CallbackEndpoint, change: Callable[[CallbackEndpoint], CallbackEndpoint | None], services: Services
) -> CallbackEndpoint | None:
    """The endpoint once changed. What is known of an address says nothing about the one that took its place."""

    def where_it_was(stored: CallbackEndpoint) -> CallbackEndpoint | None:
        return change(stored) if stored.url == endpoint.url else None

    return await change_endpoint(services.callback_endpoints, endpoint.tenant_id, endpoint.id, where_it_was)


async def _as_far_as_possible(
    endpoint: CallbackEndpoint, act: Callable[[], Awaitable[None]], services: Services
) -> None:
    """One note at a time in this process; what a post came to must not hang on whether its note was taken."""
    if not services.endpoint_watch.begins_note(endpoint.id):
        return
    try:
        await act()
    except (StoreUnavailable, PublishFailed, Conflict, NotFound) as error:
        logger.info(
            "Health of a callback endpoint is not noted",
            extra={"endpoint_id": endpoint.id, "error": type(error).__name__},
        )
    finally:
        services.endpoint_watch.ends_note(endpoint.id)
