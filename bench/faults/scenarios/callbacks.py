"""Consumers' endpoints that fail, hang, are gone or point elsewhere, and a worker that dies between post and record."""

import asyncio
from itertools import pairwise

from bench.faults.ledger import Listener, Post, verifies
from bench.faults.provider import WELL, Answer
from bench.faults.scenario import Ground, Scenario

_FIRST_PAUSE = 5.0  # the schedule's first step
_SLACK = 12.0
_POST_TIMEOUT = 15.0
_ON_TIME = 5.0


async def callback_receivers(ground: Ground) -> None:
    """Five endpoints of one consumer: well, failing once, hanging once, gone, redirecting."""
    never = asyncio.Event()
    provider, consumer = ground.provider, ground.consumer
    await ground.listen("well")
    bad: dict[str, Listener] = {}
    ids: dict[str, str] = {}
    for name in ("failing", "hanging", "gone", "redirecting"):
        ids[name], bad[name] = await consumer.listen(name, provider.url)
    provider.callback_rules = {
        "failing": lambda post: Answer(500) if _is_first(ground, post) else WELL,
        "hanging": lambda post: Answer(hold=never) if _is_first(ground, post) else WELL,
        "gone": lambda _: Answer(410),
        "redirecting": lambda _: Answer(302, headers={"location": f"{provider.url}/elsewhere"}),
    }
    await asyncio.sleep(6)  # other workers may know of an endpoint only after five seconds
    await ground.submit_many(6)
    on_time = await ground.until(lambda: len(provider.posts_to("well")) >= 6, _ON_TIME + 5)
    late = max(
        (post.at - consumer.accepted[post.webhook_id.split(".")[0]] for post in provider.posts_to("well")), default=99.0
    )
    ground.require(on_time and late < _ON_TIME, f"the endpoint that is well heard after {late:.1f} s")
    repeated = await ground.until(
        lambda: all(_has_repeats(ground, name, 6) for name in ("failing", "hanging", "redirecting")), 60
    )
    ground.require(repeated, "a failed callback was not tried again on schedule")
    await _require_gone(ground, ids["gone"])
    for name in ("failing", "hanging", "redirecting"):
        gaps = [later.at - earlier.at for earlier, later in _tries(ground, name)]
        least = _FIRST_PAUSE + (_POST_TIMEOUT if name == "hanging" else 0)
        ground.require(
            all(least - 0.1 <= gap <= least + _SLACK for gap in gaps), f"{name}: tried again after {_rounded(gaps)} s"
        )
        ground.facts[f"{name}: gaps s"] = _rounded(gaps)
    ground.require(not provider.strays, "a redirect was followed")
    forged = [post for post in provider.posts if post.endpoint in bad and not verifies(bad[post.endpoint].secret, post)]
    ground.require(not forged, f"{len(forged)} bad signatures at unwell endpoints")


def _rounded(gaps: list[float]) -> list[float]:
    return sorted({round(gap, 1) for gap in gaps})[:6]


def _is_first(ground: Ground, post: Post) -> bool:
    return [each.webhook_id for each in ground.provider.posts_to(post.endpoint)].count(post.webhook_id) == 1


def _tries(ground: Ground, name: str) -> list[tuple[Post, Post]]:
    """First and second try of each callback; the same webhook-id makes them tries of one."""
    tries: dict[str, list[Post]] = {}
    for post in ground.provider.posts_to(name):
        tries.setdefault(post.webhook_id, []).append(post)
    return [pair for posts in tries.values() for pair in list(pairwise(posts))[:1]]


def _has_repeats(ground: Ground, name: str, count: int) -> bool:
    return len(_tries(ground, name)) >= count


async def _require_gone(ground: Ground, endpoint_id: str) -> None:
    """410 disables: the API says so, and nothing more is posted."""
    reply = await ground.consumer.call("GET", f"/callback-endpoints/{endpoint_id}")
    ground.require(reply.body["state"] == "disabled:gone", f"after 410 the endpoint is {reply.body['state']}")
    before = len(ground.provider.posts_to("gone"))
    await ground.submit_many(3, first=500)
    await ground.until(lambda: len(ground.provider.posts_to("well")) >= 9, 15)
    await asyncio.sleep(1)
    ground.require(len(ground.provider.posts_to("gone")) == before, "posted to an endpoint that is gone")


async def crash_in_callback(ground: Ground) -> None:
    """The worker dies after the consumer took the callback and before that is recorded."""
    await ground.listen("crash")
    release = asyncio.Event()
    ground.provider.callback_rules["crash"] = lambda post: Answer(hold=release) if _is_first(ground, post) else WELL
    count = ground.pick(quick=8, default=24)
    await ground.submit_many(count)
    await ground.until(lambda: len(ground.provider.posts) >= count, 30)
    held = {post.webhook_id for post in ground.provider.posts}
    await ground.service.kill_workers()
    again = await ground.until(lambda: len(_tries(ground, "crash")) >= len(held), 90)
    release.set()
    ground.require(
        again, f"{len(_tries(ground, 'crash'))} of {len(held)} callbacks came again under the same webhook-id"
    )
    ground.require(
        all(first.body == second.body for first, second in _tries(ground, "crash")),
        "the second try says something else",
    )
    ground.facts |= {"held callbacks": len(held), "came again": len(_tries(ground, "crash"))}


SCENARIOS = (
    Scenario(
        "callback-receivers",
        "18: 500, hang, 410, 302: schedule followed, other endpoints on time",
        callback_receivers,
        workers=1,
    ),
    Scenario(
        "crash-in-callback", "19: a worker dies between post and record: the same webhook-id again", crash_in_callback
    ),
)
