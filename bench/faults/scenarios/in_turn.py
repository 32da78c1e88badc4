"""Channels in turn while workers die: a push, and an SMS only once it is certain what became of the push."""

import asyncio
from typing import Any

from bench.faults.ledger import Call
from bench.faults.provider import WELL, Answer
from bench.faults.scenario import Ground, Json, Scenario
from bench.faults.service import CLAIM_PATIENCE, IN_DOUBT_PATIENCE
from bench.load_plan import recipient

_GONE = Answer(status=410)
_PATIENCE = CLAIM_PATIENCE + IN_DOUBT_PATIENCE + 30


async def in_turn(ground: Ground) -> None:
    """Some pushes are refused; of others the answer never comes, because every worker dies. Then the SMS, or none."""
    count = ground.pick(quick=8, default=30)
    ground.provider.rule = lambda call: _GONE if _channel(call) == "push" else WELL
    refused = await _submit(ground, count, deadline=3600)
    await ground.until(lambda: refused <= _calls(ground, "push").keys(), 30)
    never = asyncio.Event()
    ground.provider.rule = lambda call: Answer(hold=never) if _channel(call) == "push" and call.number == 1 else WELL
    doubtful = await _submit(ground, count, deadline=1)
    advertised = await _submit(ground, count, deadline=1, category="marketing")
    await ground.until(lambda: doubtful | advertised <= _calls(ground, "push").keys(), 30)
    await ground.service.kill_workers()
    await ground.until(lambda: refused | doubtful <= _calls(ground, "sms").keys(), _PATIENCE)
    await asyncio.sleep(IN_DOUBT_PATIENCE)  # that nobody is sent another SMS can only be waited for
    _judge(ground, refused, doubtful, advertised)


async def _submit(ground: Ground, count: int, deadline: int, **more: Any) -> set[str]:
    before = set(ground.consumer.accepted)
    for number in range(count):
        await ground.consumer.insist(_request(ground, number, deadline) | more)
    return set(ground.consumer.accepted) - before


def _request(ground: Ground, number: int, deadline: int) -> Json:
    body = ground.request("push", number)
    del body["channels"]
    return body | {
        "recipient": body["recipient"] | recipient("sms", number, ground.provider.url),
        "routing": {"strategy": "fallback", "order": ["push", "sms"], "deadlineSeconds": deadline},
    }


def _channel(call: Call) -> str:
    return call.delivery[1]


def _calls(ground: Ground, channel: str) -> dict[str, list[Call]]:
    """The calls by one channel, by notification."""
    found: dict[str, list[Call]] = {}
    for call in ground.provider.calls:
        if _channel(call) == channel:
            found.setdefault(call.delivery[0], []).append(call)
    return found


def _judge(ground: Ground, refused: set[str], doubtful: set[str], advertised: set[str]) -> None:
    pushed, texted = _calls(ground, "push"), _calls(ground, "sms")
    gaps = [calls[0].at - pushed[each][0].at for each, calls in texted.items() if each in doubtful]
    shortest = min(gaps, default=0.0)
    ground.facts |= {"SMS": len(texted), "shortest doubt s": round(shortest, 1)}
    ground.require(refused | doubtful <= texted.keys(), "an SMS that was to follow never came")
    ground.require(all(len(calls) == 1 for calls in texted.values()), "somebody got two SMS")
    ground.require(all(len(pushed[each]) == 1 for each in doubtful), "a push was sent again beside the SMS")
    ground.require(not advertised & texted.keys(), "an SMS followed a push that may have arrived")
    ground.require(shortest > IN_DOUBT_PATIENCE, f"an SMS went out {shortest:.1f} s into the doubt")


SCENARIOS = (Scenario("in-turn", "37: a fallback channel takes over what failed, never what is in doubt", in_turn),)
