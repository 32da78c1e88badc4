"""Carry a replay out, one step of a few letters at a time (orchestration ``replay``).

A step first leases its time: the replay's clock is moved on by as many intervals as there are letters, conditionally,
so that whoever else carries the same replay out waits, also after a crash. Then it releases them evenly, and at last
writes down how far it came. A step that is made again releases nothing twice: a letter's delivery goes back to work
under a condition that holds once, and says by which replay it went.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from shared.contracts.callback_payload import CallbackBatch
from shared.contracts.dead_letter_documents import position_of
from shared.contracts.events import NotificationStatus, NotificationSubmitted, status_message
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.dead_letter import DeadDelivery, DeadLetter, DeadMessage, ReplayMark, day_of
from shared.domain.errors import NotFound, PublishFailed, StoreUnavailable, VersionChanged
from shared.domain.notification import Notification
from shared.domain.replay import Replay, ReplayState, Resumption, Skip, judge
from shared.pipeline.announce import publish_chunks
from shared.pipeline.dead_letter_filing import EVENTS
from shared.pipeline.services import CALLBACKS, STATUS, Services

logger = logging.getLogger(__name__)

PAUSE_WHEN_AWAY = timedelta(seconds=5)
_DAYS_A_STEP = 30  # without any letter that one step looks through
_REPLAYED, _FAILED = "replayed", "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """What a step leaves: where the replay stands, and when there is more to do."""

    state: ReplayState
    next_at: datetime


async def make_step(replay_id: str, services: Services) -> Told:
    """The next letters are released, or it is not their time. Never raises but for faults of ours."""
    try:
        replay = await services.replays.read(replay_id)
        return await _step(replay, services)
    except VersionChanged:
        return Told(ReplayState.RUNNING, services.clock.now())  # paused, or another one is at work: look again
    except (StoreUnavailable, PublishFailed):
        return Told(ReplayState.RUNNING, services.clock.now() + PAUSE_WHEN_AWAY)


async def _step(replay: Replay, services: Services) -> Told:
    now = services.clock.now()
    if replay.state is not ReplayState.RUNNING or replay.next_at > now:
        return Told(replay.state, replay.next_at)
    letters, reached = await _next_letters(replay, services)
    leased = await services.replays.replace(
        replace(replay, next_at=now + len(letters) * replay.interval, touched_at=now)
    )
    counts = Counter(await _release_evenly(letters, leased, services))
    return await _write_down(replay, replace(reached, next_at=leased.next_at), counts, services)


async def _write_down(before: Replay, reached: Replay, counts: Counter[str], services: Services) -> Told:
    """The counts are on the replay, once: only while nobody else has come further. Raises StoreUnavailable."""
    while True:
        current = await services.replays.read(before.id)
        if (current.day, current.after, current.done) != (before.day, before.after, before.done):
            return Told(current.state, current.next_at)
        is_over = reached.state is ReplayState.COMPLETED and current.state is ReplayState.RUNNING
        try:
            stored = await services.replays.replace(_counted(current, reached, counts, is_over=is_over))
        except VersionChanged:
            continue
        return Told(stored.state, stored.next_at)


def _counted(current: Replay, reached: Replay, counts: Counter[str], *, is_over: bool) -> Replay:
    skipped = Counter(current.skipped)
    skipped.update({reason: count for reason, count in counts.items() if reason not in {_REPLAYED, _FAILED}})
    return replace(
        current,
        day=reached.day,
        after=reached.after,
        done=reached.done,
        replayed=current.replayed + counts[_REPLAYED],
        failed=current.failed + counts[_FAILED],
        skipped=dict(skipped),
        state=ReplayState.COMPLETED if is_over else current.state,
    )


async def _next_letters(replay: Replay, services: Services) -> tuple[Sequence[DeadLetter | None], Replay]:
    """The next letters, None for what is not there any more, and the replay once they are done."""
    wanted = replay.letters_a_step
    if replay.ids:
        ids = replay.ids[replay.done : replay.done + wanted]
        letters = await asyncio.gather(*(_find(letter_id, replay, services) for letter_id in ids))
        done = replay.done + len(ids)
        state = ReplayState.COMPLETED if done >= len(replay.ids) else replay.state
        return letters, replace(replay, done=done, state=state)
    reached = replay
    for _ in range(_DAYS_A_STEP):
        found = await services.dead_letters.oldest(replay.selection, reached.day, reached.after, wanted)
        if found:
            return found, replace(reached, after=position_of(found[-1]))
        if reached.day >= day_of(replay.selection.until):
            return (), replace(reached, state=ReplayState.COMPLETED)
        reached = replace(reached, day=_day_after(reached.day), after=None)
    return (), reached


async def _find(letter_id: str, replay: Replay, services: Services) -> DeadLetter | None:
    tenant = replay.selection.tenant or replay.tenant_id
    try:
        return await services.dead_letters.read(tenant, letter_id)
    except NotFound:
        return None


def _day_after(day: str) -> str:
    return day_of(datetime.strptime(f"{day}+0000", "%Y%m%d%z") + timedelta(days=1))


async def _release_evenly(letters: Sequence[DeadLetter | None], replay: Replay, services: Services) -> Sequence[str]:
    """What became of each letter. Raises StoreUnavailable, PublishFailed: of some nobody knows; make the step again."""
    loop = asyncio.get_running_loop()
    started, interval = loop.time(), replay.interval.total_seconds()
    tasks = []
    for number, letter in enumerate(letters):
        await asyncio.sleep(started + number * interval - loop.time())
        tasks.append(asyncio.create_task(_release(letter, replay, services)))
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result
    return [str(result) for result in ended]


async def _release(letter: DeadLetter | None, replay: Replay, services: Services) -> str:
    if letter is None:
        return Skip.GONE
    if letter.replay and letter.replay.replay_id != replay.id:
        return Skip.ALREADY_REPLAYED
    try:
        if isinstance(letter.story, DeadDelivery):
            return await _resume(letter, letter.story, replay, services)
        return await _put_back(letter, letter.story, replay, services)
    except (StoreUnavailable, PublishFailed):
        raise
    except Exception:
        logger.exception("Replay of a dead letter failed", extra={"letter": letter.id, "replay": replay.id})
        return _FAILED


async def _resume(letter: DeadLetter, dead: DeadDelivery, replay: Replay, services: Services) -> str:
    """A delivery goes back to work: first in the store, where the sweeper finds it, then on the bus."""
    try:
        notification = await services.notifications.read(letter.tenant_id, dead.tracking_id)
    except NotFound:
        return Skip.GONE
    now = services.clock.now()
    decided = judge(notification, dead, replay, now, services.patience.publish)
    if isinstance(decided, Skip):
        return decided
    if isinstance(decided, Resumption) and not await services.replays.resume(decided):
        return Skip.MOVED_ON
    await services.dead_letters.take(letter, ReplayMark(replay.id, now))
    await publish_chunks([_chunk(notification, dead)], services)
    return _REPLAYED


def _chunk(notification: Notification, dead: DeadDelivery) -> Chunk:
    return Chunk(
        tenant_id=notification.tenant_id,
        partition_key=notification.partition_key,
        channel=dead.channel,
        lane=notification.lane,
        items=(ChunkItem(notification.tracking_id, dead.attempt + 1, notification.customer_id),),
        template=notification.template,
        category=notification.category,
        correlation_id=notification.correlation_id,
        traceparent=notification.traceparent,
    )


async def _put_back(letter: DeadLetter, dead: DeadMessage, replay: Replay, services: Services) -> str:
    """A message goes back to where it came from; whoever takes it has always had to expect it twice."""
    event = _event(dead)
    if event is None:
        return Skip.NOT_KEPT
    if not await services.dead_letters.take(letter, ReplayMark(replay.id, services.clock.now())):
        return Skip.ALREADY_REPLAYED
    if isinstance(event, NotificationSubmitted):
        await publish_chunks([event.to_chunk()], services)
    elif isinstance(event, NotificationStatus):
        await services.publisher.publish(STATUS, [status_message(event, awaited=False)])
    else:
        await services.publisher.publish(CALLBACKS, [event.to_message()])
    return _REPLAYED


def _event(dead: DeadMessage) -> NotificationSubmitted | NotificationStatus | CallbackBatch | None:
    model = EVENTS.get(dead.entity.partition("/")[0])
    if model is None or dead.body is None:
        return None
    try:
        return model.model_validate_json(dead.body)
    except ValidationError:
        return None  # of a version that this process still doesn't know
