"""One message in a hundred is poison: it can't be read, or what it names can't be rendered."""

import asyncio
import json
import time
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from bench.faults.bus_client import Captured, publish
from bench.faults.letters import dead_letters
from bench.faults.scenario import Ground, Scenario

_ENTITY = "notifications-submitted/email-normal"
_BURIED_WITHIN_SECONDS = 1.0
_TOO_LONG = "A" * 2000  # for an SMS that carries it
_KINDS = 6  # of poison on the bus
_REASONS = {"not_json", "unknown_version", "oversize", "unknown_channel", "bad_schema", "foreign_partition"}


async def poison(ground: Ground) -> None:
    """Six kinds of poison on the bus among good messages, and accepted notifications whose template can't be filled."""
    good = ground.pick(quick=300, default=1000, full=10_000)
    bad = max(_KINDS, good // 100)
    alone = await _seconds_for(ground, good // 2, first=0)
    function = await ground.service.function("deliver_email_normal")
    messages = [_poison(number, next(iter(ground.consumer.accepted))) for number in range(bad)]
    unfit = await _submit_unfit(ground, max(1, bad // 5))
    sent_at: dict[str, datetime] = {}
    among, _ = await asyncio.gather(_seconds_for(ground, good // 2, first=good), _spread(ground, messages, sent_at))
    await ground.until(lambda: _are_buried(ground, bad + unfit), 30)
    letters = await dead_letters(ground.consumer)
    after = await ground.service.function("deliver_email_normal")
    _require_buried(ground, letters, sent_at, unfit)
    failed = after["failures"] - function["failures"]
    ground.require(failed == 0, f"{failed} failed invocations: poison was tried again")
    ground.require(among < 3 * alone + 2, f"good ones took {among:.1f} s among poison, {alone:.1f} s without")
    ground.require(not await ground.service.dead_letters(), f"broker: {await ground.service.dead_letters()}")
    ground.facts |= {"good": good, "poisonous": bad, "unfit templates": unfit}
    ground.facts |= {"seconds without, among poison": [round(alone, 1), round(among, 1)]}


async def _seconds_for(ground: Ground, count: int, first: int) -> float:
    started = time.monotonic()
    await ground.submit_many(count, batch=50, first=first)
    reached = await ground.until(lambda: len(ground.provider.reached()) >= _deliverable(ground), 60)
    ground.require(reached, "good messages were held up")
    return time.monotonic() - started


def _deliverable(ground: Ground) -> int:
    return len(ground.consumer.accepted) - int(ground.facts.get("unfit templates", 0))


async def _submit_unfit(ground: Ground, count: int) -> int:
    """Accepted, and never to be sent: the SMS would be longer than any may be."""
    ground.facts["unfit templates"] = count
    for number in range(count):
        await ground.consumer.insist(
            ground.request("sms", 90_000 + number, data={"orderId": _TOO_LONG, "orderTotal": "1"})
        )
    return count


async def _spread(ground: Ground, messages: list[Captured], sent_at: dict[str, datetime]) -> None:
    """One after the other between the good ones."""
    for message in messages:
        sent_at[sha256(_ENTITY.encode() + b"\n" + message.body).hexdigest()] = datetime.now(UTC)
        await publish(ground.service.broker_connection, [message])


async def _are_buried(ground: Ground, count: int) -> bool:
    return len(await dead_letters(ground.consumer)) >= count


def _require_buried(ground: Ground, letters: list[dict[str, Any]], sent_at: dict[str, datetime], unfit: int) -> None:
    buried = {each["digest"]: datetime.fromisoformat(each["filedAt"]) for each in letters if "digest" in each}
    late = [(buried[digest] - sent).total_seconds() for digest, sent in sent_at.items() if digest in buried]
    missing = len(sent_at) - len(late)
    reasons = Counter(each["reason"] for each in letters if each["kind"] == "message")
    templates = [each for each in letters if each["tag"] == "poison" and each["kind"] == "delivery"]
    ground.require(missing == 0, f"{missing} poisonous messages are not among the dead letters")
    ground.require(len(templates) == unfit, f"{len(templates)} of {unfit} unfit templates are dead letters")
    ground.require(set(reasons) == _REASONS, f"reasons are {sorted(reasons)}")
    ground.require(
        max(late, default=0.0) <= _BURIED_WITHIN_SECONDS, f"a dead letter came {max(late, default=0.0):.1f} s later"
    )
    ground.facts |= {"reasons": dict(reasons), "buried after at most s": round(max(late, default=0.0), 2)}


def _poison(number: int, real: str) -> Captured:
    properties: dict[str, object] = {"channel": "email", "lane": "normal", "schemaVersion": 1}
    event = {
        "schemaVersion": 1,
        "tenantId": "t",
        "occurredAt": "2026-01-01T00:00:00Z",
        "partitionKey": "t:0000",
        "channel": "email",
        "priority": "normal",
        "deliveries": [{"trackingId": real}],
        "number": number,
    }
    bodies = (
        f'{{"number": {number}, "deliveries": ['.encode(),
        json.dumps(event | {"schemaVersion": 99}).encode(),
        json.dumps({"number": number, "junk": "x" * 200_000}).encode(),
        json.dumps(event | {"channel": "fax"}).encode(),
        json.dumps(event | {"deliveries": None}).encode(),
        json.dumps(event | {"partitionKey": "other:0000"}).encode(),
    )
    return Captured(bodies[number % _KINDS], f"poison-{number}", properties)


SCENARIOS = (
    Scenario(
        "poison",
        "7: 1 % poison: good ones unaffected, dead letters with a reason within a second, nothing tried again",
        poison,
        workers=1,
    ),
)
