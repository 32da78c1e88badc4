"""Dead letters are replayed twice, and the service dies in the middle of it."""

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from typing import Any

from bench.faults.letters import dead_letters
from bench.faults.provider import WELL, Answer
from bench.faults.scenario import Ground, Scenario
from bench.faults.service import HOST

_RATE = 10
_REFUSED = 400  # about the message, so that it is dead at once
# What was on its way to a provider when a worker died comes again with what is released then.
_CAUGHT_UP = 2


async def replay(ground: Ground) -> None:
    """Everything is refused and dies; it is replayed at a rate while a worker and the host are killed; then again."""
    count = ground.pick(quick=80, default=200, full=1000)
    letters = await _die(ground, count)
    first = await _order(ground, {"filter": {"tag": "rejected"}, "ratePerSecond": _RATE})
    ground.require(first["selected"] == count, f"{first['selected']} of {count} letters selected")
    hurt_at, _ = await asyncio.gather(
        _hurt(ground, count / _RATE), _until_completed(ground, first["id"], count / _RATE + 120)
    )
    await ground.until(lambda: len(_taken(ground)) >= count, 90)
    again = await _order(ground, {"ids": [letter["id"] for letter in letters[:500]], "ratePerSecond": 50})
    await _until_completed(ground, again["id"], 60)
    await _require_once(ground, count, first["id"], again["id"], letters[0]["tenant"])
    _require_rate(ground, hurt_at)


async def _die(ground: Ground, count: int) -> list[dict[str, Any]]:
    ground.provider.rule = lambda _: Answer(_REFUSED)
    requests = [ground.request("email", number) for number in range(count)]
    for start in range(0, count, 50):
        await ground.consumer.insist({"notifications": requests[start : start + 50]})

    async def are_filed() -> bool:
        return len(await dead_letters(ground.consumer, "tag=rejected")) >= count

    filed = await ground.until(are_filed, 60)
    ground.require(filed, "not everything that was refused is a dead letter")
    ground.provider.rule = lambda _: WELL
    return await dead_letters(ground.consumer, "tag=rejected")


async def _order(ground: Ground, order: dict[str, Any]) -> dict[str, Any]:
    reply = await ground.consumer.call("POST", "/dead-letters/replays", order)
    ground.require(reply.status == 202, f"the order was answered {reply.status} {str(reply.body)[:150]}")
    return dict(reply.body)


async def _hurt(ground: Ground, seconds: float) -> float:
    """When it began."""
    await asyncio.sleep(seconds * ground.random.uniform(0.2, 0.35))
    hurt_at = time.monotonic()
    await ground.service.kill_worker(ground.random.randrange(100))
    await asyncio.sleep(seconds * ground.random.uniform(0.2, 0.35))
    ground.service.kill(HOST)
    return hurt_at


async def _until_completed(ground: Ground, replay_id: str, seconds: float) -> None:
    async def is_completed() -> bool:
        return (await _told(ground, replay_id)).get("state") == "completed"

    completed = await ground.until(is_completed, seconds)
    ground.require(completed, f"the replay is not over: {await _told(ground, replay_id)}")


async def _told(ground: Ground, replay_id: str) -> dict[str, Any]:
    reply = await ground.consumer.call("GET", f"/dead-letters/replays/{replay_id}")
    return dict(reply.body) if reply.status == 200 else {}


def _taken(ground: Ground) -> list[float]:
    return sorted(call.at for call in ground.provider.calls if call.is_taken)


async def _require_once(ground: Ground, count: int, first: str, again: str, tenant: str) -> None:
    told, repeated = await _told(ground, first), await _told(ground, again)
    calls = Counter(call.delivery for call in ground.provider.calls if call.is_taken)
    ground.require(told.get("replayed") == count, f"the first replay says {told}")
    ground.require(repeated.get("replayed") == 0, f"the second replay says {repeated}")
    ground.require(set(calls.values()) == {1}, f"taken so many times: {Counter(calls.values())}")
    audit = await ground.consumer.call("GET", f"/audit?tenant={tenant}&action=dead_letters.replay")
    entries = [] if audit.status != 200 else audit.body["entries"]
    ground.require([each["subject"] for each in entries] == [again, first], f"the audit trail says {entries}")
    ground.require(all(each["actor"] for each in entries), "the audit trail names nobody")
    verified = await ground.consumer.call("GET", f"/audit/verification?tenant={tenant}")
    ground.require(verified.status == 200 and not verified.body["faults"], f"the chain: {verified.body}")
    ground.facts |= {"letters": count}
    ground.facts |= {"first": _counts(told), "second": _counts(repeated)}


def _require_rate(ground: Ground, hurt_at: float) -> None:
    times = _taken(ground)
    before, ever = _busiest_second([at for at in times if at < hurt_at]), _busiest_second(times)
    ground.require(before <= _RATE, f"{before} calls in a second, of {_RATE}")
    ground.require(ever <= _RATE + _CAUGHT_UP, f"{ever} calls in a second, of {_RATE}, once it was hurt")
    ground.facts |= {"rate": _RATE, "calls in the busiest second before it was hurt, and ever": [before, ever]}


def _busiest_second(times: list[float]) -> int:
    return max((bisect_left(times, at + 1.0) - number for number, at in enumerate(times)), default=0)


def _counts(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told.get(name) for name in ("selected", "replayed", "skipped", "failed")}


SCENARIOS = (
    Scenario(
        "replay",
        "8: dead letters replayed twice and killed midway: each effective once, rate held, audited",
        replay,
    ),
)
