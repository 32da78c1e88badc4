"""Providers that are slow, ask for patience, fail, and report in any order."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections import Counter, defaultdict
from itertools import pairwise, permutations
from urllib.parse import urlencode

from bench.faults.killing import Rhythm, work_while_dying
from bench.faults.ledger import Call
from bench.faults.provider import WELL, Answer
from bench.faults.scenario import Ground, Scenario
from bench.faults.service import CLAIM_PATIENCE, IN_DOUBT_PATIENCE

_SLOW_SECONDS = 30.0
_CALL_TIMEOUT_SECONDS = 20.0  # of the app's SMS provider
_RETRY_AFTER_SECONDS = 3
_LIMIT = 25
# What leaves on time arrives late on a machine that is busy with killing and starting processes; the busiest second is
# among the facts.
_JITTER_SECONDS = 0.12
_MAX_BURNED = 6  # attempts of an email that count


async def slow_provider(ground: Ground) -> None:
    """SMS takes thirty seconds to answer; everything else goes on as before."""
    others = ground.pick(quick=90, default=300)
    before = await _lag(ground, others, first=0)
    ground.provider.rule = lambda call: Answer(delay=_SLOW_SECONDS) if call.delivery[1] == "sms" else WELL
    slow = [ground.request("sms", number) for number in range(ground.pick(quick=8, default=20))]
    slow += [ground.request("sms", 900 + number, category="marketing") for number in range(4)]
    started = time.monotonic()
    await ground.consumer.insist({"notifications": slow})
    during = await _lag(ground, others, first=100_000)
    await asyncio.sleep(started + _CALL_TIMEOUT_SECONDS + 2 - time.monotonic())
    ground.provider.heal()
    await ground.until(lambda: _repeated(ground) >= len(slow) - 4, 60)
    calls = _by_delivery(ground.provider.calls, "sms")
    gaps = [later.at - earlier.at for made in calls.values() for earlier, later in pairwise(made)]
    shortest = min(gaps, default=0.0)
    ground.require(
        during < max(3 * before, before + 2), f"other channels: p95 {before:.2f} s before, {during:.2f} s during"
    )
    ground.require(bool(gaps), "nothing timed out")
    ground.require(
        shortest >= _CALL_TIMEOUT_SECONDS + IN_DOUBT_PATIENCE, f"sent again {shortest:.1f} s after the first call"
    )
    ground.facts |= {
        "p95 of others before, during s": [round(before, 2), round(during, 2)],
        "shortest gap s": round(shortest, 1),
    }


async def _lag(ground: Ground, count: int, first: int) -> float:
    """The 95th percentile of the seconds from an accept of email, push or webhook to the provider's call."""
    known = set(ground.consumer.accepted)
    channels = ("email", "push", "webhook")
    gate = asyncio.Semaphore(4)

    async def one(number: int) -> None:
        async with gate:
            await ground.consumer.insist(ground.request(channels[number % 3], first + number))

    await asyncio.gather(*map(one, range(count)))
    await ground.until(lambda: ground.consumer.accepted.keys() - known <= ground.provider.reached(), 30)
    called = {call.delivery[0]: call.at for call in ground.provider.calls}
    lags = sorted(
        called.get(each, time.monotonic()) - ground.consumer.accepted[each]
        for each in ground.consumer.accepted.keys() - known
    )
    return max(0.0, lags[int(len(lags) * 0.95)])


def _by_delivery(calls: list[Call], channel: str) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.delivery[1] == channel:
            found[call.delivery[0]].append(call)
    return found


def _repeated(ground: Ground) -> int:
    return sum(len(made) > 1 for made in _by_delivery(ground.provider.calls, "sms").values())


async def throttle_storm(ground: Ground) -> None:
    """Email answers 429 with Retry-After, then 500, then well."""
    await ground.listen("storm")
    count = ground.pick(quick=40, default=150)
    throttled, failing = ground.pick(quick=(6.0, 4.0), default=(10.0, 8.0))
    started = time.monotonic()

    def weather(call: Call) -> Answer:
        elapsed = call.at - started
        if elapsed < throttled:
            return Answer(429, headers={"retry-after": str(_RETRY_AFTER_SECONDS)})
        return Answer(500) if elapsed < throttled + failing else WELL

    ground.provider.rule = weather
    requests = [ground.request("email", number) for number in range(count)]
    for start in range(0, count, 50):
        await ground.consumer.insist({"notifications": requests[start : start + 50]})
    await ground.until(lambda: _all_taken(ground), 90)
    by_delivery = _by_delivery(ground.provider.calls, "email")
    early = sum(
        later.at - earlier.at < _RETRY_AFTER_SECONDS - 0.05
        for made in by_delivery.values()
        for earlier, later in pairwise(made)
        if earlier.status == 429
    )
    most = max(map(len, by_delivery.values()), default=0)
    bound = _MAX_BURNED + int(throttled / _RETRY_AFTER_SECONDS) + 1
    ground.require(_all_taken(ground), "not everything was delivered after the storm")
    ground.require(early == 0, f"{early} calls before Retry-After was over")
    ground.require(most <= bound, f"one delivery was called {most} times")
    answers = Counter(call.status for call in ground.provider.calls)
    ground.facts |= {"answers of the provider": dict(answers), "most calls for one delivery": most}


def _all_taken(ground: Ground) -> bool:
    taken = {call.delivery[0] for call in ground.provider.calls if call.is_taken}
    return ground.consumer.accepted.keys() <= taken


async def provider_limit(ground: Ground) -> None:
    """More work than the limit has room for, and then workers die: no second has more calls than agreed."""
    requests = [ground.request("sms", number) for number in range(ground.pick(quick=300, default=900))]
    bodies = [{"notifications": requests[start : start + 10]} for start in range(0, len(requests), 10)]
    await asyncio.gather(*map(ground.consumer.insist, bodies))
    ground.provider.latest = 0.0
    await ground.until_reached(0.6, seconds=60)
    busy = sorted(call.at for call in ground.provider.calls)
    rhythm = Rhythm(workers=(2.0, 5.0), parts=(1000.0, 1000.0))
    rest = _reach(ground, 0.95)
    await work_while_dying(rest, ground.service, ground.random, rhythm, at_most_seconds=30)
    await ground.until_reached(seconds=90)
    busiest = busiest_second(sorted(call.at for call in ground.provider.calls))
    bound = int(_LIMIT * (1 + _JITTER_SECONDS + ground.provider.latest))
    ground.require(busiest <= bound, f"{busiest} calls within a second, and {_LIMIT} were agreed")
    ground.facts |= {
        "agreed a second": _LIMIT,
        "busiest second": busiest,
        "our own lateness s": round(ground.provider.latest, 3),
        "used of the limit before the deaths": round(len(busy) / max(0.1, busy[-1] - busy[0]) / _LIMIT, 2),
    }


async def _reach(ground: Ground, share: float) -> None:
    await ground.until_reached(share, seconds=60)


def busiest_second(instants: list[float]) -> int:
    """The most of these sorted instants within any second."""
    most, first = 0, 0
    for last, instant in enumerate(instants):
        while instant - instants[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


async def receipts(ground: Ground) -> None:
    """Every order of receipts, some of them twice: the same end, whatever came last."""
    await ground.listen("receipts")
    words = ("sent", "delivered", "undelivered", "failed")
    orders = [order for size in (2, 3, 4) for order in permutations(words, size)]
    ground.random.shuffle(orders)
    orders = orders[: ground.pick(quick=24, default=len(orders))]
    reply = await ground.consumer.insist(
        {"notifications": [ground.request("sms", number) for number in range(len(orders))]}
    )
    ids = [each["trackingId"] for each in reply.body["items"]]
    await ground.until_reached()
    attempts = {call.delivery[0]: call.attempt_id for call in ground.provider.calls}
    await ground.until(lambda: _all_taken(ground), 30)
    await asyncio.gather(*(_report(ground, attempts[each], order) for each, order in zip(ids, orders, strict=True)))
    expected = {each: _end(order) for each, order in zip(ids, orders, strict=True)}

    async def ended() -> bool:
        views = await ground.consumer.views(ids)
        return {each: view["status"] for each, view in views.items()} == expected

    settled = await ground.until(ended, 15)
    await asyncio.sleep(1)
    views = await ground.consumer.views(ids)
    wrong = [
        f"{orders[ids.index(each)]} → {views[each]['status']}"
        for each in ids
        if views[each]["status"] != expected[each]
    ]
    ground.require(settled and not wrong, f"{len(wrong)} of {len(ids)} ended wrongly, such as {wrong[:2]}")
    downward = [each for each in ids if _goes_back(views[each])]
    ground.require(not downward, f"{len(downward)} histories go back")
    ground.facts |= {"orders": len(orders)}


_RANKS = {"sent": 1, "failed": 2, "delivered": 3, "bounced": 4}


def _end(order: tuple[str, ...]) -> str:
    outcomes = ["bounced" if word == "undelivered" else word for word in order]
    return max(["sent", *outcomes], key=_RANKS.__getitem__)


def _goes_back(view: dict[str, object]) -> bool:
    ranks = [_RANKS.get(entry["status"], 0) for entry in view["history"]]  # type: ignore[attr-defined, index]
    return ranks != sorted(ranks)


async def _report(ground: Ground, attempt: str, order: tuple[str, ...]) -> None:
    """Posts the receipts one after the other, some of them twice, as Twilio would."""
    for word in order:
        for _ in range(1 + (ground.random.random() < 0.3)):
            status = await post_receipt(ground, attempt, word)
            ground.require(status == 204, f"a receipt was answered {status}")


async def post_receipt(ground: Ground, attempt: str, word: str) -> int:
    """Signed as https://www.twilio.com/docs/usage/security says: the URL, then the sorted fields."""
    path = f"/api/v1/receipts/twilio?{urlencode({'attempt_id': attempt})}"
    url = f"http://127.0.0.1:{ground.service.ports.api}{path}"
    fields = {"MessageSid": "SM1", "MessageStatus": word}
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    key = ground.service.keys["TWILIO_AUTH_TOKEN"].encode()
    signature = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha1)).decode()
    async with ground.service.session.post(url, data=fields, headers={"x-twilio-signature": signature}) as answer:
        return answer.status


SCENARIOS = (
    Scenario(
        "slow-provider",
        "11: one provider takes 30 s: other channels unaffected, in doubt, not sent again early",
        slow_provider,
        workers=1,
        settings={"CLAIM_PATIENCE_SECONDS": str(CLAIM_PATIENCE)},
    ),
    Scenario(
        "throttle-storm",
        "12: 429 with Retry-After, 500, recovery: all delivered, pacing obeyed, calls bounded",
        throttle_storm,
    ),
    Scenario(
        "provider-limit",
        "13: a limit shared by workers that die: never more calls in a second than agreed",
        provider_limit,
        workers=3,
        is_heavy=True,  # what arrives is stamped by a process that must not be busy with other scenarios
        settings={"TWILIO_CALLS_PER_SECOND": str(_LIMIT)},
    ),
    Scenario(
        "receipts", "6: receipts in any order, and twice: the same final state, history never goes back", receipts
    ),
)
