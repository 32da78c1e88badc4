"""More work than the machine can do: who is refused, who is not, and who waits for whom."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.faults.consumer import Reply
from bench.faults.scenario import Ground, Scenario
from bench.load_plan import MIXED, Plan, Stream
from bench.load_result import Load, Request, generate

_SUSTAINABLE = 250  # accepted and delivered a second with everything on two cores (bench report)
_TIMES = 10
_HIGH_RATE = 20
_MAX_WORKER_MEGABYTES = 600.0
_MAX_HIGH_ACCEPT_SECONDS = 0.5  # p99
# Storm, service, broker, store and providers share this machine's cores, so even an answer that costs nothing may take
# a second here. Accepting goes through the event loop that makes it a few times: commit, answer, publish, answer.
_TURNS = 4
_KNOWN_KEY = "accepted-before-the-storm"
_SHED = 429


@dataclass
class _Seen:
    """What a careful consumer meets during the storm. Seconds by what was asked."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    high: Counter[int] = field(default_factory=Counter)
    refusals: list[Reply] = field(default_factory=list)
    repeats: list[Reply] = field(default_factory=list)

    def percentile(self, name: str, share: float) -> float:
        seconds = sorted(self.seconds[name])
        return seconds[int(len(seconds) * share)] if seconds else float("inf")


async def burst(ground: Ground) -> None:
    """Ten times what can be sustained in the lower lanes, by clients that don't repeat, and high beside it."""
    seconds = ground.pick(quick=2.0, default=4.0, full=20.0)
    rate = _TIMES * _SUSTAINABLE / 2
    streams = [
        Stream("normal", seconds=seconds, rate=rate, channels=MIXED, with_key=True),
        Stream("low", seconds=seconds, rate=rate, channels=MIXED, with_key=True, lane="low", first_number=500_000),
    ]
    headers = {"authorization": ground.consumer.authorization}
    seed = ground.random.randrange(10**6)
    plan = Plan(ground.service.ports.api, headers, streams, ground.provider.url, seed=seed)
    before = await ground.consumer.submit(ground.request("email", 1), _KNOWN_KEY)
    storm = asyncio.create_task(asyncio.to_thread(generate, plan))
    seen, memory = _Seen(), [await ground.service.memory()]
    asking = asyncio.create_task(_ask_carefully(ground, seen, storm))
    while not storm.done():
        memory.append(await ground.service.memory())
        await asyncio.wait({storm}, timeout=0.5)
    await asking
    _note_load(ground, await storm)
    _judge(ground, storm.result().streams, seen, before)
    await ground.until_reached(seconds=240)
    memory.append(await ground.service.memory())
    ground.require(max(memory) < _MAX_WORKER_MEGABYTES, f"a worker grew to {max(memory):.0f} MB")
    ground.facts |= {"worker MB before, peak, after": [round(each) for each in (memory[0], max(memory), memory[-1])]}


async def _ask_carefully(ground: Ground, seen: _Seen, storm: asyncio.Task[Load]) -> None:
    """Until the storm is over: high, low, a key that was accepted before, and whether the process is alive."""
    asked: set[asyncio.Task[None]] = set()
    number = 2
    while not storm.done():
        asked |= {asyncio.create_task(each) for each in (_ask_high(ground, number, seen), _ask_alive(ground, seen))}
        if number % 5 == 0:
            asked |= {asyncio.create_task(each) for each in (_ask_low(ground, number, seen), _ask_again(ground, seen))}
        number += 1
        await asyncio.sleep(1 / _HIGH_RATE)
    await asyncio.gather(*asked)


async def _ask_high(ground: Ground, number: int, seen: _Seen) -> None:
    started = time.monotonic()
    reply = await ground.consumer.submit(ground.request("sms", 900_000 + number, priority="high"))
    seen.seconds["high"].append(time.monotonic() - started)
    seen.high[reply.status] += 1


async def _ask_alive(ground: Ground, seen: _Seen) -> None:
    """What any answer of this process takes, even one that costs nothing."""
    started = time.monotonic()
    await ground.consumer.call("GET", "/../health/live")
    seen.seconds["alive"].append(time.monotonic() - started)


async def _ask_low(ground: Ground, number: int, seen: _Seen) -> None:
    reply = await ground.consumer.submit(ground.request("email", number, priority="low"))
    seen.refusals += [reply] if reply.status == _SHED else []


async def _ask_again(ground: Ground, seen: _Seen) -> None:
    seen.repeats.append(await ground.consumer.submit(ground.request("email", 1), _KNOWN_KEY))


def _note_load(ground: Ground, load: Load) -> None:
    for request in load.requests():
        ground.consumer.answers[request.status] += 1
        for each in request.tracking_ids():
            ground.consumer.accepted.setdefault(each, time.monotonic())
    wrong = [each.status for each in load.requests() if each.status not in {0, 202, _SHED, 503}]
    ground.require(not wrong, f"{len(wrong)} answers of the storm were neither 202, 429 nor 503")
    if any(each.status == 0 for each in load.requests()):  # accepted perhaps, and nobody can know without the answer
        ground.tolerated.add("sent without having been accepted")


def _judge(ground: Ground, by_lane: Mapping[str, Sequence[Request]], seen: _Seen, before: Reply) -> None:
    shed = {lane: sum(each.status == _SHED for each in asked) / len(asked) for lane, asked in by_lane.items()}
    slowest, alive = seen.percentile("high", 0.99), seen.percentile("alive", 0.99)
    known = [
        each for each in seen.repeats if each.status == 202 and each.body["trackingId"] == before.body["trackingId"]
    ]
    ground.require(set(seen.high) == {202}, f"high was answered {dict(seen.high)}")
    ground.require(shed["low"] > 0, "nothing was shed")
    ground.require(shed["low"] >= shed["normal"] - 0.02, f"normal was shed before low: {shed}")
    ground.require(len(known) == len(seen.repeats), f"{len(seen.repeats) - len(known)} repeats got another answer")
    ground.require(
        slowest < _MAX_HIGH_ACCEPT_SECONDS + _TURNS * alive,
        f"high was accepted after {slowest:.2f} s (p99), where any answer took {alive:.2f}",
    )
    ground.require(
        bool(seen.refusals) and all(int((each.headers or {}).get("Retry-After", 0)) >= 1 for each in seen.refusals),
        "no 429, or one without Retry-After",
    )
    ground.facts |= {
        "asked for a second": [_TIMES * _SUSTAINABLE, _HIGH_RATE],
        "answered 429, by lane": {lane: f"{share:.0%}" for lane, share in shed.items()},
        "accept high p50, p99 ms": [round(1000 * seen.percentile("high", share)) for share in (0.5, 0.99)],
        "any answer p50, p99 ms": [round(1000 * seen.percentile("alive", share)) for share in (0.5, 0.99)],
        "repeats of an accepted key": len(seen.repeats),
    }


SCENARIOS = (
    Scenario(
        "burst",
        "10: ten times what can be sustained: high never refused, the rest with Retry-After; nothing accepted is lost",
        burst,
        is_heavy=True,
    ),
)
