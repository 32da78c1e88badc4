"""Order replays of dead letters, watch them, pause, resume and cancel them.

An order is first in the audit trail, then in the store, then begun. Somebody who dies in between leaves an order that
the watch begins (``carry_on``); a consumer that repeats it with the same idempotency key gets the same replay.
"""

import hashlib
import hmac
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from shared.contracts.replays_api import MAX_ORDER_BYTES, OrderReplay, ReplayFilterView, ReplayListView, ReplayView
from shared.contracts.request_body import read_body
from shared.domain.audit_chain import AuditFact
from shared.domain.dead_letter import BUS, Selection, day_of
from shared.domain.errors import KeyReused, NotFound, VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.replay import Replay, ReplayState
from shared.pipeline.dead_letters_triage import CHANGES_ALL, READS_ALL, USUAL_RANGE, checked_id, scope_of
from shared.pipeline.retry import Orchestrations
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)

REPLAY_ORCHESTRATION = "replay"
LISTED = 50
LEFT_ALONE_FOR = timedelta(minutes=2)  # then the watch begins a running replay again, if nobody carries it out
_ID_LENGTH = 24
_STEERED = {"pause": ReplayState.PAUSED, "resume": ReplayState.RUNNING, "cancel": ReplayState.CANCELLED}
_OVER = frozenset({ReplayState.CANCELLED, ReplayState.COMPLETED})


async def order_replay(
    body: bytes, key: str | None, caller: Caller, orchestrations: Orchestrations, services: Services
) -> ReplayView:
    """The replay that was ordered, or was ordered before under the same key.

    Raises:
        InvalidSubmission: the order can't be meant.
        NotFound: the tenant is not the caller's to replay for.
        KeyReused: the key stands for another order.
        StoreUnavailable: nothing is ordered, or it is and will be begun; a repeat with the same key tells.
    """
    order = _parse(body)
    wanted = await _planned(order, _replay_id(key, caller, services), caller, services)
    await services.audit.append(_fact(wanted, "dead_letters.replay", wanted.id, services.clock.now(), caller))
    stored = await services.replays.create(wanted)
    if stored.digest != wanted.digest:
        raise KeyReused("the key was used for another replay")
    try:
        await begin(stored, orchestrations)
    except Exception:
        logger.exception("Replay not begun; the watch will", extra={"replay": stored.id})
    logger.info("Replay ordered", extra={"replay": stored.id, "selected": stored.selected})
    return ReplayView.of(stored)


def _parse(body: bytes) -> OrderReplay:
    order = read_body(OrderReplay, body, MAX_ORDER_BYTES)
    for letter_id in order.ids or ():
        checked_id(letter_id)
    return order


def _replay_id(key: str | None, caller: Caller, services: Services) -> str:
    if key is None:
        return uuid4().hex[:_ID_LENGTH]
    named = f"replay\n{caller.tenant_id}\n{key}".encode()
    return hmac.digest(services.bucket_secret, named, hashlib.sha256).hex()[:_ID_LENGTH]


async def _planned(order: OrderReplay, replay_id: str, caller: Caller, services: Services) -> Replay:
    now = services.clock.now()
    selection = _selection(order, _scope(order, caller), now)
    ids = tuple(dict.fromkeys(order.ids or ()))
    return Replay(
        id=replay_id,
        tenant_id=caller.tenant_id,
        ordered_by=caller.application_id,
        ordered_at=now,
        selection=selection,
        ids=ids,
        rate=order.rate_per_second,
        ignores_expiry=order.ignore_expiry,
        selected=len(ids) or await services.dead_letters.count(selection),
        day=day_of(selection.since),
        next_at=now,
        touched_at=now,
        digest=hashlib.sha256(order.model_dump_json().encode()).hexdigest(),
    )


def _scope(order: OrderReplay, caller: Caller) -> TenantId | None:
    """Whose letters; all tenants' only when the order says so. Raises NotFound: not the caller's to replay."""
    if order.tenant != "*":
        return scope_of(caller, order.tenant or caller.tenant_id, CHANGES_ALL)
    if CHANGES_ALL not in caller.roles:
        raise NotFound(order.tenant)
    return None


def _selection(order: OrderReplay, tenant: TenantId | None, now: datetime) -> Selection:
    if order.filter is None:
        return Selection(tenant, now, now, is_open=True)
    wanted = order.filter
    # Not beyond now: what dies again in the course of it would be replayed for ever.
    until = min(wanted.until or now, now)
    return Selection(
        tenant=tenant,
        since=wanted.since or until - USUAL_RANGE,
        until=until,
        tag=wanted.tag,
        channel=wanted.channel,
        template=wanted.template,
        is_open=True,
    )


def _fact(replay: Replay, action: str, event_id: str, at: datetime, caller: Caller) -> AuditFact:
    tenant = replay.selection.tenant
    filtered = ReplayFilterView.of(replay.selection).model_dump(mode="json", by_alias=True, exclude_none=True)
    return AuditFact(
        event_id=f"{action}:{event_id}",
        tenant_id=replay.tenant_id if tenant in {None, BUS} else TenantId(str(tenant)),
        at=at,
        actor=caller.application_id,
        action=action,
        subject=replay.id,
        detail={
            "tenant": tenant or "*",
            **({"ids": list(replay.ids)} if replay.ids else {"filter": filtered}),
            "selected": replay.selected,
            "ratePerSecond": replay.rate,
            "ignoreExpiry": replay.ignores_expiry,
        },
    )


async def begin(replay: Replay, orchestrations: Orchestrations) -> None:
    """Somebody carries the replay out, if it is to be carried out."""
    if replay.state is ReplayState.RUNNING:
        await orchestrations.start(REPLAY_ORCHESTRATION, f"replay-{replay.id}", {"id": replay.id})


async def carry_on(orchestrations: Orchestrations, services: Services) -> int:
    """How many running replays that nobody carried on for a while were begun again."""
    now = services.clock.now()
    left = [each for each in await services.replays.running() if _is_left_alone(each, now)]
    for replay in left:
        await begin(replay, orchestrations)
    return len(left)


def _is_left_alone(replay: Replay, now: datetime) -> bool:
    return max(replay.touched_at, replay.next_at) + LEFT_ALONE_FOR <= now


async def list_replays(caller: Caller, services: Services) -> ReplayListView:
    """The caller's replays, or those of all, among the ones ordered last."""
    newest = await services.replays.newest(LISTED)
    return ReplayListView(replays=[ReplayView.of(each) for each in newest if _may(caller, each, READS_ALL)])


async def read_replay(replay_id: str, caller: Caller, services: Services) -> ReplayView:
    """The replay and how far it has come. Raises NotFound, also for another tenant's."""
    return ReplayView.of(await _find(replay_id, caller, READS_ALL, services))


async def steer_replay(
    replay_id: str, action: str, caller: Caller, orchestrations: Orchestrations, services: Services
) -> ReplayView:
    """The replay, paused, running again or cancelled; what is over stays so. Raises NotFound."""
    if action not in _STEERED:
        raise NotFound(action)
    while True:
        replay = await _find(replay_id, caller, CHANGES_ALL, services)
        wanted = replace(replay, state=_STEERED[action])
        if replay.state in _OVER or replay.state is wanted.state:
            break
        now = services.clock.now()
        await services.audit.append(
            _fact(replay, f"dead_letters.{action}_replay", f"{replay.id}:{replay.version}", now, caller)
        )
        try:
            replay = await services.replays.replace(wanted)
        except VersionChanged:
            continue  # a step was written down meanwhile
        break
    await begin(replay, orchestrations)
    return ReplayView.of(replay)


async def _find(replay_id: str, caller: Caller, wide_role: str, services: Services) -> Replay:
    if not replay_id.isalnum():
        raise NotFound(replay_id)
    replay = await services.replays.read(replay_id)
    if not _may(caller, replay, wide_role):
        raise NotFound(replay_id)
    return replay


def _may(caller: Caller, replay: Replay, wide_role: str) -> bool:
    return replay.tenant_id == caller.tenant_id or wide_role in caller.roles
