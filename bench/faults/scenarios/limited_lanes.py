"""A provider that is limited, a backlog that takes all of it, and urgent messages in between."""

import asyncio
import time

from bench.faults.scenario import Ground, Scenario
from bench.faults.scenarios.providers import busiest_second

_LIMIT = 25
_WITHIN_SECONDS = 1.0  # accept to the provider's call, for 95 of 100 urgent messages
_JITTER_SECONDS = 0.12  # what leaves on time arrives late on a busy machine


async def urgent_before_backlog(ground: Ground) -> None:
    """Everything low can send is under way; high is sent at once all the same, and the limit holds."""
    backlog = [ground.request("sms", number, priority="low") for number in range(ground.pick(quick=300, default=900))]
    bodies = [{"notifications": backlog[start : start + 50]} for start in range(0, len(backlog), 50)]
    await asyncio.gather(*map(ground.consumer.insist, bodies))
    await ground.until(lambda: len(ground.provider.calls) > 2 * _LIMIT, 30)
    low = set(ground.consumer.accepted)
    ground.provider.latest = 0.0
    begun = time.monotonic()
    for number in range(ground.pick(quick=20, default=60)):
        await ground.consumer.insist(ground.request("sms", 10_000 + number, priority="high"))
        await asyncio.sleep(0.3)
    await ground.until(lambda: ground.consumer.accepted.keys() - low <= ground.provider.reached(), 10)
    during = [call for call in ground.provider.calls if call.at >= begun]
    called = {call.delivery[0]: call.at for call in reversed(ground.provider.calls)}
    urgent = ground.consumer.accepted.keys() - low
    lags = sorted(called.get(each, time.monotonic()) - ground.consumer.accepted[each] for each in urgent)
    p95 = lags[int(len(lags) * 0.95)]
    was_busy = any(call.delivery[0] in low for call in during[-_LIMIT:])
    await ground.until_reached(seconds=120)
    busiest = busiest_second([call.at for call in ground.provider.calls])
    ground.require(was_busy, "the backlog was over too early")
    ground.require(p95 < _WITHIN_SECONDS + ground.provider.latest, f"urgent messages: p95 {p95:.2f} s")
    bound = int(_LIMIT * (1 + _JITTER_SECONDS + ground.provider.latest))
    ground.require(busiest <= bound, f"{busiest} calls within a second, and {_LIMIT} were agreed")
    ground.facts |= {
        "p95 of urgent s": round(p95, 2),
        "longest of urgent s": round(lags[-1], 2),
        "busiest second": busiest,
        "agreed a second": _LIMIT,
        "used of the limit meanwhile": round(len(during) / (during[-1].at - during[0].at) / _LIMIT, 2),
        "our own lateness s": round(ground.provider.latest, 3),
    }


SCENARIOS = (
    Scenario(
        "limited-lanes",
        "a backlog takes all that a provider's limit has room for: urgent messages do not wait behind it",
        urgent_before_backlog,
        is_heavy=True,  # it measures times
        settings={"TWILIO_CALLS_PER_SECOND": str(_LIMIT)},
    ),
)
