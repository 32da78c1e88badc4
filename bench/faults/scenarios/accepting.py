"""Consumers that die and wait."""

import asyncio
from collections import defaultdict
from contextlib import suppress

import orjson

from bench.faults.consumer import Reply
from bench.faults.killing import Rhythm, work_while_dying
from bench.faults.ledger import FINAL
from bench.faults.provider import Answer
from bench.faults.scenario import Ground, Json, Scenario
from bench.load_plan import MIXED


async def client_crash(ground: Ground) -> None:
    """Each key is tried several times by clients that hang up in the middle; at last one waits for the answer."""
    await ground.listen("crash")
    keys = ground.pick(quick=40, default=120)
    told: dict[str, set[str]] = defaultdict(set)
    replays = [0]

    async def one(number: int) -> None:
        key = ground.consumer.new_key()
        body = _body(ground, number)
        for _ in range(ground.random.randrange(1, 4)):
            await _hang_up(ground, body, key)
        tries = [ground.consumer.insist(body, key) for _ in range(ground.random.randrange(1, 3))]
        for reply in await asyncio.gather(*tries):
            told[key].add(_identity(reply))
            replays[0] += (reply.headers or {}).get("Idempotency-Replayed") == "true"

    gate = asyncio.Semaphore(8)

    async def in_turn(number: int) -> None:
        async with gate:
            await one(number)

    async def all_of_them() -> None:
        await asyncio.gather(*map(in_turn, range(0, keys * 10, 10)))

    rhythm = Rhythm(workers=(0.5, 2.5), parts=(1000.0, 1000.0))
    seconds = ground.pick(quick=15, default=40)
    await work_while_dying(all_of_them(), ground.service, ground.random, rhythm, at_most_seconds=seconds)
    torn = [key for key, identities in told.items() if len(identities) != 1]
    ground.require(not torn, f"{len(torn)} keys were answered with different notifications")
    ground.facts |= {"keys": keys, "replayed answers": replays[0]}


def _body(ground: Ground, number: int) -> Json:
    items = [ground.request(MIXED[each % 4], each) for each in range(number, number + 10)]
    return {"notifications": items} if number % 50 == 0 else items[ground.random.randrange(10)]


def _identity(reply: Reply) -> str:
    if not 200 <= reply.status < 300:
        return f"refused {reply.status}"
    return orjson.dumps(reply.body.get("items") or reply.body["trackingId"]).decode()


async def _hang_up(ground: Ground, body: Json, key: str) -> None:
    """Sends the request, whole or in part, and goes away after up to 60 ms."""
    payload = orjson.dumps(body)
    path = "/api/v1/notifications" + ("/batch" if "notifications" in body else "")
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nidempotency-key: {key}\r\n"
        f"authorization: {ground.consumer.authorization}\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    raw = head.encode() + payload
    part = len(raw) if ground.random.random() < 0.8 else ground.random.randrange(len(raw))
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", ground.service.ports.api)
        writer.write(raw[:part])
        await asyncio.sleep(ground.random.random() * 0.06)
        writer.transport.abort()


async def sync_waiters(ground: Ground) -> None:
    """Consumers wait for the outcome while workers and the host die: 200, 202, or a repeatable answer."""
    count = ground.pick(quick=24, default=80)
    ground.provider.rule = lambda _: Answer(delay=1.5)
    first: list[int] = []
    ended: list[Reply] = []

    async def one(number: int) -> None:
        key, body = ground.consumer.new_key(), ground.request("email", number)
        reply = await ground.consumer.submit(body, key, prefer="wait=10")
        first.append(reply.status)
        if reply.status not in {200, 202}:
            reply = await ground.consumer.insist(body, key, prefer="wait=10")
        ended.append(reply)
        if reply.status == 200:
            ground.require(reply.body["status"] in FINAL, f"200 for a notification that is {reply.body['status']}")

    async def in_waves() -> None:
        for start in range(0, count, 8):
            await asyncio.gather(*(one(number) for number in range(start, min(start + 8, count))))

    rhythm = Rhythm(workers=(2.0, 5.0), parts=(24.0, 24.0))
    await work_while_dying(in_waves(), ground.service, ground.random, rhythm, at_most_seconds=60)
    ground.require(all(each.status in {200, 202} for each in ended), "a wait ended without a repeatable answer")
    ground.facts |= {
        "first answers": {status: first.count(status) for status in sorted(set(first))},
        "with the outcome": sum(each.status == 200 for each in ended),
    }


SCENARIOS = (
    Scenario(
        "client-crash",
        "1: a client that dies and repeats with the same key gets exactly one notification",
        client_crash,
    ),
    Scenario("sync-waiters", "waiting while processes die: 200 or 202, or a repeatable answer", sync_waiters),
)
