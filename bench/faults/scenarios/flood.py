"""One tenant floods email with batches, while another sends what it always sends: its email, and urgent SMS."""

import asyncio
import time
from collections.abc import Sequence

from bench.faults.scenario import Ground, Scenario
from bench.load_plan import Plan, Stream
from bench.load_result import Load, generate

_NORMAL_TARGET_SECONDS, _HIGH_TARGET_SECONDS = 5.0, 1.0  # S3-03, at the 95th percentile
_EMAILS_PER_SECOND, _TEXTS_PER_SECOND = 3, 8
_BATCH_ITEMS = 200
_FIRST_OF_FLOOD = 1_000_000


async def flood(ground: Ground) -> None:
    """What the other tenant's deliveries wait for: alone, beside the flood, and with an instance for urgent SMS."""
    seconds = ground.pick(quick=8.0, default=20.0, full=60.0)
    await _lags(ground, 3.0, first=50_000)  # until everything is warm
    alone = await _lags(ground, seconds / 2, first=0)
    beside, load = await _beside_the_flood(ground, seconds, first=100_000)
    await ground.service.set_instances("deliver_sms_high", 1)
    apart, more = await _beside_the_flood(ground, seconds, first=200_000)
    await ground.until(lambda: _has_reached(ground, [load, more]), 180)
    answers = {each.status for part in (load, more) for each in part.requests()}
    lost = _missing(ground, [load, more])
    ground.require(beside["email"] < _NORMAL_TARGET_SECONDS, f"the other tenant's email: p95 {beside['email']:.1f} s")
    ground.require(beside["sms"] < _HIGH_TARGET_SECONDS, f"urgent SMS: p95 {beside['sms']:.2f} s")
    ground.require(answers <= {202, 429}, f"the flood was answered {sorted(answers)}")
    ground.require(lost == 0, f"{lost} of the flood's accepted notifications reached nobody")
    ground.require(429 not in ground.consumer.answers, "the other tenant was refused")
    # The ledger of this campaign belongs to the other tenant; the flood's own is kept above.
    ground.tolerated.add("sent without having been accepted")
    ground.facts |= {
        "flood accepted": sum(len(each.tracking_ids()) for part in (load, more) for each in part.requests()),
        "flood refused": sum(each.status == 429 for part in (load, more) for each in part.requests()),
        "p95 s of normal email alone, beside, SMS apart": [round(each["email"], 2) for each in (alone, beside, apart)],
        "p95 s of high SMS alone, beside, SMS apart": [round(each["sms"], 3) for each in (alone, beside, apart)],
    }


async def _beside_the_flood(ground: Ground, seconds: float, first: int) -> tuple[dict[str, float], Load]:
    storm = asyncio.create_task(asyncio.to_thread(generate, _plan(ground, seconds, first)))
    lags = await _lags(ground, seconds, first)
    return lags, await storm


def _plan(ground: Ground, seconds: float, first: int) -> Plan:
    stream = Stream(
        "flood",
        seconds=seconds,
        connections=2,
        batch_items=_BATCH_ITEMS,
        first_number=_FIRST_OF_FLOOD + 10 * first,
    )
    headers = {"authorization": ground.service.authorization_of("marketing")}
    return Plan(ground.service.ports.api, headers, [stream], ground.provider.url, seed=ground.random.randrange(10**6))


async def _lags(ground: Ground, seconds: float, first: int) -> dict[str, float]:
    """The 95th percentile of the seconds from submitting to the provider's call, by channel."""
    submitted: dict[str, dict[str, float]] = {"email": {}, "sms": {}}

    async def one(channel: str, number: int, priority: str) -> None:
        started = time.monotonic()
        reply = await ground.consumer.submit(ground.request(channel, number, priority=priority))
        if reply.status == 202:
            submitted[channel][reply.body["trackingId"]] = started

    async def stream(channel: str, rate: float, priority: str) -> None:
        tasks = set()
        for number in range(int(seconds * rate)):
            tasks.add(asyncio.create_task(one(channel, first + number, priority)))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*tasks)

    await asyncio.gather(stream("email", _EMAILS_PER_SECOND, "normal"), stream("sms", _TEXTS_PER_SECOND, "high"))
    wanted = {each for ids in submitted.values() for each in ids}
    await ground.until(lambda: wanted <= ground.provider.reached(), 60)
    called: dict[str, float] = {}
    for call in ground.provider.calls:
        called.setdefault(call.delivery[0], call.at)
    return {
        channel: _percentile([called.get(each, float("inf")) - at for each, at in ids.items()])
        for channel, ids in submitted.items()
    }


def _percentile(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[int(len(ordered) * 0.95)] if ordered else float("inf")


def _missing(ground: Ground, loads: Sequence[Load]) -> int:
    accepted = {each for load in loads for request in load.requests() for each in request.tracking_ids()}
    return len(accepted - ground.provider.reached())


def _has_reached(ground: Ground, loads: Sequence[Load]) -> bool:
    return _missing(ground, loads) == 0


SCENARIOS = (
    Scenario(
        "flood",
        "22, S4-23: a tenant's flood of email delays neither another's email nor urgent SMS beyond their targets",
        flood,
        workers=1,
        is_heavy=True,
    ),
)
