"""Processes that die: all the time, in the middle of a provider call, before a claim."""

import asyncio
import time

from bench.faults.killing import Rhythm, work_while_dying
from bench.faults.ledger import Call
from bench.faults.provider import WELL, Answer
from bench.faults.scenario import Ground, Scenario
from bench.faults.service import CLAIM_PATIENCE, HOST, IN_DOUBT_PATIENCE

_LOCK_SECONDS = 60.0  # of every subscription
_REDELIVERED_SECONDS = 30.0
_DELIVER = "deliver_email_normal"


async def kills(ground: Ground) -> None:
    """Thousands are submitted, alone and in batches, while workers die every moment and the parts now and then."""
    await ground.listen("kills")
    count = ground.pick(quick=600, default=5000, full=100_000)
    seconds, waves = ground.pick(quick=(12.0, 6), default=(60.0, 20), full=(1500.0, 200))
    wave, started = count // waves, time.monotonic()

    async def in_waves() -> None:
        for number in range(waves):
            await _submit_wave(ground, wave, first=number * wave)
            await asyncio.sleep(max(0.0, started + (number + 1) * seconds / waves - time.monotonic()))
        await ground.until_reached(0.9, seconds=10)

    dying = await work_while_dying(in_waves(), ground.service, ground.random, Rhythm(), at_most_seconds=2 * seconds)
    ground.facts |= {"seconds of dying": round(dying)}


async def _submit_wave(ground: Ground, count: int, first: int) -> None:
    singles = count // 5
    await asyncio.gather(
        ground.submit_many(singles, at_once=8, first=first),
        ground.submit_many(count - singles, batch=50, at_once=4, first=first + singles),
    )


async def crash_in_call(ground: Ground) -> None:
    """Every worker dies while providers hold its calls: in doubt, and after the window sent as another attempt."""
    count = ground.pick(quick=12, default=40)
    never = asyncio.Event()
    ground.provider.rule = lambda call: Answer(hold=never) if call.number == 1 else WELL
    await ground.submit_many(count)
    await ground.submit_many(4, first=1000, category="marketing")
    await ground.until(lambda: len(ground.provider.calls) >= count + 4, 30)
    held = {call.delivery: call for call in ground.provider.calls}
    await ground.service.kill_workers()
    await ground.until(lambda: _repeats(ground, held) >= count, CLAIM_PATIENCE + IN_DOUBT_PATIENCE + 30)
    _require_window(ground, held)


def _repeats(ground: Ground, held: dict[tuple[str, str], Call]) -> int:
    return len(ground.provider.calls) - len(held)


def _require_window(ground: Ground, held: dict[tuple[str, str], Call]) -> None:
    gaps = [call.at - held[call.delivery].at for call in ground.provider.calls if call is not held[call.delivery]]
    shortest = min(gaps, default=0.0)
    ground.facts |= {"held calls": len(held), "repeated": len(gaps), "shortest gap s": round(shortest, 1)}
    if gaps:
        ground.require(shortest > IN_DOUBT_PATIENCE, f"sent again after {shortest:.1f} s, before the window was over")


async def store_refuses(ground: Ground) -> None:
    """Workers and host die while the store refuses claims; the broker delivers again, long before any sweep would."""
    count = ground.pick(quick=24, default=60)
    for turn in range(ground.pick(quick=1, default=3)):
        await ground.service.store_fault(operation="patch", container="notification-tracking", status=503)
        for number in range(count):
            await ground.consumer.insist(ground.request("email", 1000 * turn + number))
        await ground.until(lambda: _is_taking(ground), 20)
        await ground.service.kill_workers()
        patience = _REDELIVERED_SECONDS
        if turn == 1:
            ground.service.kill(HOST)
            patience += _LOCK_SECONDS
        await ground.service.heal_store()
        await ground.service.wait_until_ready()
        reached = await ground.until(ground.has_reached_all, patience)
        ground.require(
            reached, "the broker did not deliver again: only a sweep could have saved what a dead worker held"
        )


async def _is_taking(ground: Ground) -> bool:
    function = await ground.service.function(_DELIVER)
    return bool(function["invocations"] or function.get("in_flight"))


SCENARIOS = (
    Scenario(
        "kills",
        "3: processes SIGKILLed at random points: nothing lost, no internal duplicate",
        kills,
        workers=3,
        is_heavy=True,
    ),
    Scenario("crash-in-call", "2, 5: a worker dies during provider calls: in doubt, another attempt id", crash_in_call),
    Scenario(
        "store-refuses",
        "2: a worker dies before it could claim: redelivered at once",
        store_refuses,
        workers=1,
        settings={"PUBLISH_PATIENCE_SECONDS": "600"},
    ),
)
