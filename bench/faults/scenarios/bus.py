"""A broker that is away, or says everything three times; a change feed that begins again."""

import asyncio
import time

from azure.cosmos.aio import CosmosClient

from bench.faults.bus_client import capture, publish
from bench.faults.ledger import Post
from bench.faults.provider import Answer
from bench.faults.scenario import Ground, Scenario
from bench.faults.service import BROKER, HOST, STORE

_MAX_ACCEPT_SECONDS = 8.0


async def broker_away(ground: Ground) -> None:
    """The broker hangs with unacknowledged locks, then refuses, then comes back, and the store restarts."""
    await ground.listen("away")
    away = ground.pick(quick=15.0, default=60.0)
    ground.provider.rule = lambda _: Answer(delay=0.3)
    await ground.submit_many(100, batch=50)
    ground.service.stop(BROKER)  # locks are held, connections hang
    hung = await _accept_for(ground, away / 3, first=10_000)
    ground.service.resume(BROKER)
    await ground.service.broker_fault(kind="refuse-connections")
    await ground.service.broker_fault(kind="drop-connections")
    refused = await _accept_for(ground, away * 2 / 3, first=20_000)
    await ground.service.heal_broker()
    ground.service.kill(STORE)
    await ground.submit_many(40, batch=20, first=30_000)
    ground.require(
        hung == [] and refused == [], f"accept did not answer 202 without the broker: {(hung + refused)[:5]}"
    )
    ground.require(
        ground.consumer.longest_accept < _MAX_ACCEPT_SECONDS,
        f"an accept took {ground.consumer.longest_accept:.1f} s without the broker",
    )
    started = time.monotonic()
    await ground.until_reached(seconds=120)
    ground.facts |= {
        "seconds away": away,
        "longest accept s": round(ground.consumer.longest_accept, 2),
        "drained in s": round(time.monotonic() - started, 1),
    }


async def _accept_for(ground: Ground, seconds: float, first: int) -> list[int]:
    """Answers other than 202 in so many seconds of single requests."""
    ended, wrong, number = time.monotonic() + seconds, list[int](), first
    while time.monotonic() < ended:
        requests = [ground.request("email", each) for each in range(number, number + 4)]
        replies = await asyncio.gather(*(ground.consumer.submit(each, ground.consumer.new_key()) for each in requests))
        wrong += [each.status for each in replies if each.status != 202]
        number += 4
        await asyncio.sleep(0.2)
    return wrong


async def triple_delivery(ground: Ground) -> None:
    """Every submitted message is published three more times while its calls are under way, and again afterwards."""
    await ground.listen("triple")
    ground.provider.rule = lambda _: Answer(delay=0.4)
    count = ground.pick(quick=60, default=200)
    await asyncio.gather(ground.submit_many(count // 2), ground.submit_many(count // 2, batch=25, first=1000))
    captured = await capture(ground.service.broker_connection, seconds=6)
    await publish(ground.service.broker_connection, captured * 3)
    await ground.until_reached(seconds=60)
    await asyncio.sleep(1)
    calls = len(ground.provider.calls)
    later = [message.renamed(f"later-{number}") for number, message in enumerate(captured * 3)]
    await publish(ground.service.broker_connection, later)
    await ground.until(lambda: _has_drained(ground), 30)
    ground.require(len(ground.provider.calls) == calls, f"{len(ground.provider.calls) - calls} calls by late copies")
    ground.require(len(captured) > 0, "nothing was captured")
    ground.facts |= {"messages": len(captured), "copies": 6 * len(captured), "calls": calls}


async def _has_drained(ground: Ground) -> bool:
    entities = await ground.service.entities()
    waiting = sum(each["active"] + each["locked"] for each in entities if "-normal" in each["name"])
    return bool(entities) and waiting == 0


async def replay_feed(ground: Ground) -> None:
    """The change feed's leases are deleted and the host restarts: everything that ever happened is shown again."""
    await ground.listen("replay")
    await ground.submit_many(ground.pick(quick=100, default=300), batch=50)
    await ground.until_reached(seconds=60)
    await ground.until(
        lambda: len({post.webhook_id for post in ground.provider.posts}) >= len(ground.consumer.accepted), 60
    )
    await asyncio.sleep(2)
    calls, told = len(ground.provider.calls), {post.webhook_id for post in ground.provider.posts}
    posts = len(ground.provider.posts)
    for _ in range(ground.pick(quick=1, default=2)):
        deleted = await _forget_leases(ground)
        ground.service.kill(HOST)
        await ground.service.wait_until_ready()
        replayed = await ground.until(lambda: _has_replayed(ground), 60)
        ground.require(deleted > 0 and replayed, f"the feed was not replayed ({deleted} leases deleted)")
        await asyncio.sleep(2)
    new = [post for post in ground.provider.posts[posts:] if post.webhook_id not in told]
    ground.require(
        len(ground.provider.calls) == calls, f"{len(ground.provider.calls) - calls} provider calls by a replay"
    )
    ground.require(not new, f"{len(new)} callbacks under a new webhook-id")
    ground.require(_bodies_agree(ground.provider.posts), "a repeated callback says something else")
    ground.facts |= {"callbacks before": posts, "repeated by replays": len(ground.provider.posts) - posts}


def _bodies_agree(posts: list[Post]) -> bool:
    return len({(post.webhook_id, post.body) for post in posts}) == len({post.webhook_id for post in posts})


async def _forget_leases(ground: Ground) -> int:
    async with CosmosClient(ground.service.store_url, ground.service.keys["COSMOS_KEY"]) as client:
        leases = client.get_database_client("cns").get_container_client("leases")
        found = [each["id"] async for each in leases.read_all_items()]
        for each in found:
            await leases.delete_item(each, each)
        return len(found)


async def _has_replayed(ground: Ground) -> bool:
    """The host that started since has been through the feed: its function ran, and every lease has a token again."""
    if not (await ground.service.function("follow_changes"))["invocations"]:
        return False
    async with CosmosClient(ground.service.store_url, ground.service.keys["COSMOS_KEY"]) as client:
        leases = client.get_database_client("cns").get_container_client("leases")
        tokens = [each.get("ContinuationToken") async for each in leases.read_all_items()]
    return bool(tokens) and all(tokens)


SCENARIOS = (
    Scenario(
        "broker-away",
        "4: broker away with unacked locks, store restart: accept answers 202, drain complete",
        broker_away,
    ),
    Scenario(
        "triple-delivery",
        "5: every message three times at once, and later: one call for each attempt id",
        triple_delivery,
        captures=True,
    ),
    Scenario(
        "replay-feed",
        "2: change feed from zero: provider calls unchanged, callbacks under the same webhook-id",
        replay_feed,
    ),
)
