"""A chunk's place in the timetables of its provider and its tenant: reserved before the claim, used at each call.

A tenant's limit counts turns, a provider's the calls themselves: the last limit is asked again when a call's first byte
is about to leave (shared/domain/call_start.py).
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from shared.domain.call_start import calls_ask
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import StoreUnavailable, Throttled
from shared.domain.identifiers import TenantId
from shared.domain.leased_schedule import Limit
from shared.domain.notification import Lane
from shared.pipeline.announce import publish_chunks
from shared.pipeline.call_limits import TURN_PATIENCE_SECONDS, Admission, CallLimits
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away

_PASSING_SECONDS = 3.0  # of waiting for whom the queue is not meant: another tenant floods the lane (fair_share.py)
# A call that missed its turn waits for another with its connection in hand, and its time for an answer is running.
_WITH_A_CONNECTION_SECONDS = 5.0
_AGAIN_AFTER = timedelta(seconds=3)  # a delivery that was admitted and got no turn after all


@dataclass(slots=True)
class _Reserved:
    limit: Limit
    slots: deque[float] = field(default_factory=deque)


class Pace:
    """The turns of one chunk; every turn is free when nothing limits it."""

    def __init__(self, limits: CallLimits, lane: Lane, reserved: Sequence[_Reserved] = ()) -> None:
        self._limits = limits
        self._lane = lane
        self._reserved = reserved

    async def turn(self) -> None:
        """Waits until one call to the provider may start, and has the calls of this task ask again as they do.

        Raises:
            Throttled: there is no room for too long (a busy process, more urgent work); no attempt is spent.
        """
        question = None
        for reserved in self._reserved:
            slot = await self._wait(reserved.limit, reserved.slots)
            # The first call of the task goes in this slot, if it still can; each further one waits for its own.
            question = partial(self._wait, reserved.limit, deque([slot]), patience=_WITH_A_CONNECTION_SECONDS)
        calls_ask(question)

    async def _wait(self, limit: Limit, slots: deque[float], *, patience: float = TURN_PATIENCE_SECONDS) -> float:
        """The slot whose time it is: one of ``slots``, or another."""
        try:
            while slots:
                slot = slots.popleft()
                if await self._limits.wait_for(slot):
                    return slot
            found = await self._limits.turn(limit, self._lane, patience=patience)
        except StoreUnavailable as error:
            raise Throttled("own_limit", retry_after=_AGAIN_AFTER) from error
        if found is None:
            raise Throttled("own_limit", retry_after=_AGAIN_AFTER)
        return found

    def keep(self, count: int) -> None:
        """Only ``count`` calls will be made: others in this process may have the other turns."""
        for reserved in self._reserved:
            surplus = [reserved.slots.pop() for _ in range(len(reserved.slots) - count)]
            self._limits.give_back(reserved.limit, surplus)


async def reserve_turns(
    chunk: Chunk, wanted: Sequence[ChunkItem], account: str, services: Services, *, attempts_in_a_call: int = 1
) -> tuple[Sequence[ChunkItem], Pace]:
    """The items that have a turn soon, and their turns. The others are on the bus again, for later, unclaimed.

    A turn is one provider call, which is expected to carry ``attempts_in_a_call``; calls beyond those that this makes
    find their turns when they come.

    Raises:
        StoreUnavailable, PublishFailed: the message should come back.
    """
    over = [item for item in wanted if item.expires_at and item.expires_at <= services.clock.now()]
    wanted = [item for item in wanted if item not in over] if over else wanted  # nobody is called for what is over
    passed, reserved = chunk.waited_for, []
    for limit in await _limits_on(chunk.tenant_id, account, services):
        calls = math.ceil(len(wanted) / attempts_in_a_call)
        admission = await _admit(limit, chunk, calls, services)
        reserved.append(_Reserved(limit, deque(admission.slots)))
        passed |= {limit.account}
        count = admission.count * attempts_in_a_call
        if count < len(wanted):
            await _send_to_wait(chunk, wanted[count:], passed, admission.wait_seconds, services)
            wanted = wanted[:count]
    pace = Pace(services.limits, chunk.lane, reserved)
    pace.keep(math.ceil(len(wanted) / attempts_in_a_call))
    return [*over, *wanted], pace


def tenant_account(tenant: TenantId) -> str:
    """The name of the tenant's own limit."""
    return f"tenant:{tenant}"


async def waits_until(tenant: TenantId, accounts: Sequence[str], lane: Lane, services: Services) -> Sequence[datetime]:
    """Until when chunks may be waiting on the bus for their turns at the accounts, for each limit there is."""
    now = services.clock.now()
    try:
        limits = {limit for account in accounts for limit in await _limits_on(tenant, account, services)}
        waits = [await services.limits.longest_wait(limit, lane) for limit in limits]
    except StoreUnavailable:
        return []
    return [now + timedelta(seconds=seconds) for seconds in waits if seconds]


async def _limits_on(tenant: TenantId, account: str, services: Services) -> Sequence[Limit]:
    """The tenant's limit, then the provider's, which is the one that is exact."""
    policy = await services.policies.find(tenant)
    rate = policy.sends_per_second
    tenants = Limit(tenant_account(tenant), rate) if rate else None
    return [limit for limit in (tenants, services.limits.of_provider(account)) if limit is not None]


async def _admit(limit: Limit, chunk: Chunk, calls: int, services: Services) -> Admission:
    if not calls:
        return Admission(0)
    passes = limit.account != tenant_account(chunk.tenant_id) and services.lanes.may_pass(chunk, services.clock.now())
    has_waited = passes or limit.account in chunk.waited_for
    patience = _PASSING_SECONDS if passes else 0.0
    return await while_store_is_away(
        lambda: services.limits.admit(limit, chunk.lane, calls, has_waited=has_waited, patience_seconds=patience),
        services.patience.store,
    )


async def _send_to_wait(
    chunk: Chunk, items: Sequence[ChunkItem], passed: frozenset[str], wait_seconds: float, services: Services
) -> None:
    """The items are on the bus for later; those that expire before, for when they do, to be told so."""
    now = services.clock.now()
    if tenant_account(chunk.tenant_id) not in passed and services.lanes.may_pass(chunk, now):
        wait_seconds = min(wait_seconds, _PASSING_SECONDS)
    turn_at = now + timedelta(seconds=wait_seconds)
    services.lanes.watch.note_age(replace(chunk, waited_for=passed), turn_at)
    by_time: dict[datetime, list[ChunkItem]] = defaultdict(list)
    for item in items:
        by_time[min(turn_at, item.expires_at) if item.expires_at else turn_at].append(item)
    parts = [replace(chunk, items=tuple(part), due_at=due_at, waited_for=passed) for due_at, part in by_time.items()]
    await publish_chunks(parts, services)
