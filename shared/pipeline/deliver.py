"""Deliver one chunk: claim, render, send, record, announce.

Takes a chunk from the bus. The claim is the attempt registry: of all copies of a message, one makes the provider call.
Outcomes are recorded item by item as they come in, so that neither a slow item nor a crash costs the others anything;
what a crashed worker leaves claimed is found by the sweeper and treated as in doubt. The status events that follow are
announcements, not the record.

Raises only when the message should come back: the store could not be reached, or an announcement failed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import uuid4

from shared.channels import CHANNELS
from shared.domain import verdict
from shared.domain.breaker import Standing
from shared.domain.chunk import Chunk, ChunkItem, put_off
from shared.domain.errors import PublishFailed, StoreUnavailable
from shared.domain.outcome import Claimed, NotClaimed
from shared.domain.retry_schedule import pause_as_asked
from shared.domain.verdict import Situation
from shared.pipeline.announce import publish_chunks
from shared.pipeline.attempt import Assignment, Judged, attempts_in_a_call, start_attempts
from shared.pipeline.holds import hold
from shared.pipeline.outcomes import announce_known, record_outcomes
from shared.pipeline.pacing import Pace, reserve_turns
from shared.pipeline.routes import Routes, Unassigned, find_routes
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away

_SOON = timedelta(seconds=5)  # after a provider is back, those that were claimed in vain come spread over a second
_RECORD_EVERY_SECONDS = 0.5  # how long finished items wait for slower ones of their chunk before they are recorded


async def deliver(chunk: Chunk, services: Services) -> None:
    """Every delivery of the chunk has been attempted, or is someone else's to attempt.

    Raises:
        StoreUnavailable, PublishFailed: the message should be delivered again; nothing that was sent is sent twice.
    """
    going, held = await services.quarantines.hold(chunk, services.clock.now())
    await publish_chunks(held, services)
    if going is None:
        return
    chunk = going
    if turn := await services.lanes.turn_of(chunk, services.clock.now()):
        await publish_chunks(put_off(chunk, turn), services)
        return
    async with services.lanes.bulkhead.room_for(chunk):
        # A claim's holder is told that it holds it however often it asks, so nothing may be asked for twice.
        distinct = list({(item.tracking_id, item.attempt): item for item in chunk.items}.values())
        routes = await find_routes(chunk, distinct, services)
        try:
            await _deliver_by(routes, chunk, distinct, services)
        finally:
            routes.end()
        await services.health.settled()


async def _deliver_by(routes: Routes, chunk: Chunk, items: Sequence[ChunkItem], services: Services) -> None:
    wanted, paces = await _reserve_turns(chunk, items, routes, services)
    if not wanted:
        return
    claim_id = uuid4().hex
    answers = await while_store_is_away(
        lambda: services.notifications.claim(
            chunk.partition_key,
            chunk.channel,
            wanted,
            claim_id=claim_id,
            wake_at=services.clock.now() + services.patience.claim,
        ),
        services.patience.store,
    )
    claimed = [answer.notification for answer in answers if isinstance(answer, Claimed)]
    services.lanes.watch.note_claimed(chunk, len(claimed), services.clock.now())
    for pace in paces.values():
        pace.keep(len(claimed))
    ways = [await routes.assign(notification) for notification in claimed]
    pending = await _start(ways, routes, paces, services)
    judged = [_without_a_call(way, chunk.channel, services) for way in ways if isinstance(way, Unassigned)]
    await _record_as_they_end(pending, judged, chunk, claim_id, services)
    # Last, since it fails when the broker is away, and what is claimed and not attempted would be in doubt.
    await announce_known(chunk, [answer for answer in answers if isinstance(answer, NotClaimed)], services)


async def _reserve_turns(
    chunk: Chunk, items: Sequence[ChunkItem], routes: Routes, services: Services
) -> tuple[list[ChunkItem], dict[str, Pace]]:
    """The items that have a turn soon at the provider they are expected at, and the turns at each provider.

    Those whose provider can't be called are held back, unless they have expired and are to be told so. A provider that
    nobody is expected at has a pace too: whom the claim sends there gets turns one by one.
    """
    groups: dict[str, list[ChunkItem]] = {name: [] for name in routes.names}
    waiting: dict[tuple[str, Standing], list[ChunkItem]] = defaultdict(list)
    for item in items:
        expected = routes.expected(item.tracking_id)
        if expected.wait and not _has_expired(item, services):
            waiting[expected.provider, expected.wait].append(item)
        else:
            groups[expected.provider].append(item)
    for (account, standing), held in waiting.items():
        await hold(chunk, held, account, standing, services)
    wanted: list[ChunkItem] = []
    paces: dict[str, Pace] = {}
    for account, group in groups.items():
        with_turns, paces[account] = await reserve_turns(
            chunk, group, account, services, attempts_in_a_call=attempts_in_a_call(routes.provider(account))
        )
        wanted += with_turns
    return wanted, paces


def _has_expired(item: ChunkItem, services: Services) -> bool:
    return item.expires_at is not None and item.expires_at <= services.clock.now()


async def _record_as_they_end(
    pending: set[asyncio.Task[Sequence[Judged]]], judged: list[Judged], chunk: Chunk, claim_id: str, services: Services
) -> None:
    """Everything in ``judged``, and what comes of ``pending``, is recorded."""
    failure: PublishFailed | StoreUnavailable | None = None
    try:
        while pending or judged:
            if pending:
                done, pending = await asyncio.wait(pending, timeout=_RECORD_EVERY_SECONDS)
                judged += [result for task in done for result in task.result()]
            ended, judged = judged, []
            if ended:
                try:
                    await record_outcomes(ended, chunk, claim_id, services)
                except (PublishFailed, StoreUnavailable) as error:
                    failure = error  # the others are still being sent: to stop them now would leave them in doubt
    finally:
        for task in pending:
            task.cancel()
    if failure:
        raise failure


async def _start(
    ways: Sequence[Assignment | Unassigned], routes: Routes, paces: Mapping[str, Pace], services: Services
) -> set[asyncio.Task[Sequence[Judged]]]:
    """The attempts under way, each provider's together."""
    groups: dict[str, list[Assignment]] = defaultdict(list)
    for way in ways:
        if isinstance(way, Assignment):
            groups[way.provider.name].append(way)
    started: set[asyncio.Task[Sequence[Judged]]] = set()
    for account, assigned in groups.items():
        tasks = await start_attempts(assigned, paces[account], services)
        for task in tasks:
            routes.watch(account, task)
        started |= tasks
    return started


def _without_a_call(way: Unassigned, channel: str, services: Services) -> Judged:
    """What follows for a delivery that nobody can carry."""
    attempts = way.notification.deliveries[channel].counted_attempts
    situation = Situation(
        attempt=attempts[-1],
        earlier=attempts[:-1],
        max_attempts=CHANNELS[channel].max_attempts,
        provider="",
        now=services.clock.now(),
        retry_patience=services.patience.retry,
        in_doubt_patience=services.patience.in_doubt,
        order=way.order,
        expires_at=way.notification.expires_at,
    )
    if way.choice.is_final or way.choice.because is None:
        return way.notification, verdict.given_up(situation, way.choice.because)
    due_at = way.until + pause_as_asked(_SOON, situation.attempt.id)
    return way.notification, verdict.held(situation, way.choice.because, due_at)
