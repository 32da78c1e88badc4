"""Providers that are ill: who is called instead, how often the ill one is, and what comes when it is well again."""

import asyncio
import time
from collections import Counter, defaultdict
from itertools import pairwise

from bench.faults.ledger import Call
from bench.faults.provider import WELL, Answer
from bench.faults.scenario import Ground, Scenario
from bench.faults.scenarios.providers import busiest_second
from bench.faults.service import BREAKER_OPEN, CLAIM_PATIENCE, IN_DOUBT_PATIENCE

_FIRST, _SECOND = "/v3/mail/send", "/emails:send"
_SECOND_EMAIL = {
    "ACS_EMAIL_CONNECTION": "endpoint=https://cns.communication.azure.com/;accesskey=a2V5",
    "ACS_EMAIL_FROM_ADDRESS": "hello@example.com",
    "ACS_EMAIL_RECEIPT_KEY": "a-receipt-key-of-the-campaign",
}
_CALL_TIMEOUT_SECONDS = 20.0  # of the app's email providers
_EVERYBODY_KNOWS_SECONDS = 2.0  # after the first process found out, with some time for a busy machine
_RETRY_AFTER_SECONDS = 4
_PROBE_SECONDS = 1.5
_RELEASES = 20
_PER_SECOND = 8
_RETRY_BUDGET = 1.2
_JITTER = 1.5  # a busy machine bunches what left evenly


async def failover(ground: Ground) -> None:
    """The first email provider swallows a few requests, then fails; the second has the rest, but not those in doubt."""
    await ground.listen("failover")
    doubtful = ground.pick(quick=4, default=8)
    count = ground.pick(quick=60, default=240)
    never = asyncio.Event()

    def weather(call: Call) -> Answer:
        if call.path != _FIRST:
            return WELL
        earlier = sum(each.path == _FIRST for each in ground.provider.calls)
        return Answer(hold=never) if earlier <= doubtful else Answer(503)

    ground.provider.rule = weather
    for number in range(doubtful):
        category = "marketing" if number % 2 else "transactional"
        await ground.consumer.insist(ground.request("email", number, category=category))
    await ground.until(lambda: len(_by(ground, _FIRST)) >= doubtful, 20)
    started = time.monotonic()
    swallowed = {call.delivery: call.at for call in _by(ground, _FIRST)}
    await _offer(ground, "email", count, first=doubtful)
    took = await ground.until(lambda: len(_taken(ground)) >= count, 60)
    ground.require(took, f"{count - len(_taken(ground))} of {count} did not arrive by either provider")
    refused = [call.at for call in _by(ground, _FIRST) if call.is_refused]
    known = min(refused, default=started) + _EVERYBODY_KNOWS_SECONDS
    failing = [call for call in _by(ground, _FIRST) if call.at > known]
    resent = await ground.until(lambda: len(_repeated(ground, swallowed)) >= doubtful // 2, 60)
    ground.require(resent, "what was in doubt was not sent again")
    _judge_doubt(ground, swallowed)
    await _judge_recovery(ground)
    bound = 2 + (time.monotonic() - started) / BREAKER_OPEN
    ground.require(len(failing) <= bound, f"{len(failing)} calls to a provider that everybody knew to be ill")
    ground.facts |= {
        "calls to the first while ill": len(failing),
        "by the second": len(_by(ground, _SECOND)),
        "in doubt": len(swallowed),
    }


async def _judge_recovery(ground: Ground) -> None:
    """Once a probe was answered, the first provider has everything again."""
    ground.provider.heal()
    await asyncio.sleep(BREAKER_OPEN + 1)
    await _offer(ground, "email", 3, first=10_000)
    await asyncio.sleep(_EVERYBODY_KNOWS_SECONDS)
    before = len(_by(ground, _FIRST))
    await _offer(ground, "email", 20, first=20_000)
    back = await ground.until(lambda: len(_by(ground, _FIRST)) >= before + 20, 20)
    ground.require(back, "the first provider was well again, and had nothing to do")


def _judge_doubt(ground: Ground, swallowed: dict[tuple[str, str], float]) -> None:
    early = [
        call.attempt_id
        for call in _repeated(ground, swallowed)
        if call.at < swallowed[call.delivery] + _CALL_TIMEOUT_SECONDS + IN_DOUBT_PATIENCE - 1
    ]
    ground.require(not early, f"{len(early)} in doubt were sent again before it was resolved")


def _repeated(ground: Ground, swallowed: dict[tuple[str, str], float]) -> list[Call]:
    first = {call.attempt_id for call in ground.provider.calls if call.number == 1}
    return [call for call in ground.provider.calls if call.delivery in swallowed and call.attempt_id not in first]


async def breaker(ground: Ground) -> None:
    """SMS answers 429 for a while: everybody waits. Then it fails: four workers make one probe at a time, together."""
    started = time.monotonic()
    throttled, failing = ground.pick(quick=(6.0, 18.0), default=(9.0, 35.0))

    def weather(call: Call) -> Answer:
        elapsed = call.at - started
        if elapsed < throttled:
            return Answer(429, headers={"retry-after": str(_RETRY_AFTER_SECONDS)})
        if elapsed < throttled + 2:
            return WELL
        return Answer(503, delay=_PROBE_SECONDS) if elapsed < throttled + 2 + failing else WELL

    ground.provider.rule = weather
    seconds = throttled + 2 + failing
    for _ in range(int(seconds)):
        await _offer(ground, "sms", _PER_SECOND, first=len(ground.consumer.accepted))
        await asyncio.sleep(max(0.0, started + _ + 1 - time.monotonic()))
    done = await ground.until(lambda: len(_taken(ground)) == len(ground.consumer.accepted), 120)
    ground.require(done, "not everything was delivered in the end")
    calls = ground.provider.calls
    paced = [call for call in calls if call.status == 429]
    ground.require(
        len(paced) <= 3 * _PER_SECOND * (1 + throttled / _RETRY_AFTER_SECONDS),
        f"{len(paced)} calls to a provider that asked for a pause",
    )
    early = _early(paced, calls)
    ground.require(not early, f"{early} calls while everybody should have waited")
    probes = [each for each in calls if each.status == 503 and each.at > started + throttled + 4 + 2 * _PROBE_SECONDS]
    together = [later.at for earlier, later in pairwise(probes) if later.at < (earlier.ended or earlier.at)]
    often = [later.at for earlier, later in pairwise(probes) if later.at - earlier.at < BREAKER_OPEN - 0.5]
    ground.require(len(probes) >= 2, f"{len(probes)} probes while the provider was ill")
    ground.require(not together, f"{len(together)} calls at once to a provider that one should have probed")
    ground.require(not often, f"{len(often)} probes within {BREAKER_OPEN} s of another")
    ground.facts |= {
        "answered 429": len(paced),
        "probes": len(probes),
        "answers": dict(Counter(c.status for c in calls)),
    }


def _early(paced: list[Call], calls: list[Call]) -> int:
    """Calls within a pause, after everybody could know of it."""
    if not paced:
        return 0
    first = paced[0].at
    return sum(first + _EVERYBODY_KNOWS_SECONDS < call.at < first + _RETRY_AFTER_SECONDS - 0.05 for call in calls)


async def outage(ground: Ground) -> None:
    """The only email provider is down; deliveries wait, nothing is spent, and they come back at a rate."""
    lasts = ground.pick(quick=15.0, default=30.0)
    await ground.listen("outage")
    started = time.monotonic()
    begins, ends = started + 4, started + 4 + lasts
    ground.provider.rule = lambda call: Answer(503) if begins <= call.at < ends else WELL
    asked = 0
    while time.monotonic() < ends:
        lane = "high" if asked % (4 * _PER_SECOND) == 0 else "normal"
        await _offer(ground, "email", _PER_SECOND, first=asked, priority=lane)
        asked += _PER_SECOND
        await asyncio.sleep(max(0.0, started + asked / _PER_SECOND - time.monotonic()))
    held = asked - len(_taken(ground))
    done = await ground.until(lambda: len(_taken(ground)) == asked, 60 + 3 * held / _RELEASES)
    ground.require(done, f"{asked - len(_taken(ground))} of {asked} were not delivered after the outage")
    calls = ground.provider.calls
    views = await ground.consumer.views(ground.consumer.accepted)
    most = max(_busiest(ground, views, ends, lane) for lane in ("high", "normal"))
    attempts = max(
        sum(each.get("outcome") != "held" for each in delivery.get("attempts", ()))
        for view in views.values()
        for delivery in view["deliveries"]
    )
    dead = await ground.service.dead_letters()
    failures = sum(
        [(await ground.service.function(f"deliver_email_{lane}"))["failures"] for lane in ("high", "normal")]
    )
    ground.require(len(calls) <= _RETRY_BUDGET * asked, f"{len(calls)} calls for {asked} deliveries")
    ground.require(most <= _RELEASES * _JITTER, f"{most} calls of one lane in a second, and {_RELEASES} were agreed")
    ground.require(attempts <= 3, f"a delivery spent {attempts} attempts")
    ground.require(not dead and not failures, f"dead letters {dead}, {failures} messages given back")
    ground.require(held >= 0.5 * lasts * _PER_SECOND, f"only {held} were held back")
    ground.facts |= {
        "asked": asked,
        "calls": len(calls),
        "held back": held,
        "busiest second of a lane after": most,
        "most attempts": attempts,
        "half of the urgent, of the others back after s": _halfway(ground, views, ends),
    }


def _busiest(ground: Ground, views: dict[str, dict[str, object]], ends: float, lane: str) -> int:
    """The most calls of a lane in any second after the outage; without further attempts, which keep their own time."""
    times = [
        call.at
        for call in ground.provider.calls
        if call.at >= ends and call.number == 1 and views.get(call.delivery[0], {}).get("priority") == lane
    ]
    return busiest_second(sorted(times)) if times else 0


def _halfway(ground: Ground, views: dict[str, dict[str, object]], ends: float) -> list[float]:
    times: dict[object, list[float]] = defaultdict(list)
    for call in ground.provider.calls:
        if call.is_taken and call.at >= ends and call.delivery[0] in views:
            times[views[call.delivery[0]]["priority"]].append(call.at - ends)
    return [round(sorted(each)[len(each) // 2], 1) if (each := times[lane]) else -1.0 for lane in ("high", "normal")]


async def _offer(ground: Ground, channel: str, count: int, first: int, **more: object) -> None:
    await asyncio.gather(
        *(ground.consumer.insist(ground.request(channel, first + number, **more)) for number in range(count))
    )


def _by(ground: Ground, path: str) -> list[Call]:
    return [call for call in ground.provider.calls if call.path == path]


def _taken(ground: Ground) -> set[str]:
    return {call.delivery[0] for call in ground.provider.calls if call.is_taken} & ground.consumer.accepted.keys()


SCENARIOS = (
    Scenario(
        "failover",
        "12: a second provider takes over what the first one fails, and nothing that is in doubt",
        failover,
        settings=_SECOND_EMAIL | {"CLAIM_PATIENCE_SECONDS": str(CLAIM_PATIENCE)},
    ),
    Scenario(
        "breaker",
        "12, 14: a 429 paces all workers; a provider that fails gets one probe at a time from the whole fleet",
        breaker,
        workers=4,
        settings={"TWILIO_RELEASE_PER_SECOND": "60"},
    ),
    Scenario(
        "outage",
        "12: nobody can be called: no attempt spent, calls at most 1.2 times the demand, a controlled release",
        outage,
        settings={"SENDGRID_RELEASE_PER_SECOND": str(_RELEASES)},
    ),
)
