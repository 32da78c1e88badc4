"""A consuming service that does what consumers are told to: repeats with the same key until it has an answer."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
import orjson

from bench.faults.ledger import FINAL, Listener, View
from bench.load_plan import MIXED, recipient

ALL_STATUSES = ("SENT", "DELIVERED", "FAILED", "BOUNCED")
_REPEATABLE = frozenset({0, 409, 429, 500, 502, 503, 504})
_READERS = 16


@dataclass(frozen=True)
class Reply:
    """One answer; status 0 when there was none."""

    status: int
    body: Any = None
    headers: Mapping[str, str] | None = None


def a_request(channel: str, number: int, provider_url: str, **more: Any) -> dict[str, Any]:
    """One notification by ``channel`` to an address of its own."""
    return {
        "recipient": {"customerId": f"c{number}", **recipient(channel, number, provider_url)},
        "channels": [channel],
        "template": {"id": "order-confirmation"},
        "data": {"orderId": "A-1", "orderTotal": "€ 49.90"},
        **more,
    }


def tracking_ids(body: Any) -> list[str]:
    """The ids in an answer to a submission."""
    if "items" in body:
        return [each["trackingId"] for each in body["items"] if "trackingId" in each]
    return [body["trackingId"]]


class Consumer:
    """``accepted`` is what it was promised: tracking id → when. ``answers`` counts every status it saw."""

    def __init__(self, session: aiohttp.ClientSession, api: str, authorization: str, random: Random) -> None:
        self._session = session
        self.api = api
        self.authorization = authorization
        self._random = random
        self.accepted: dict[str, float] = {}
        self.answers: Counter[int] = Counter()
        self.refused: list[str] = []
        self.longest_accept = 0.0

    def new_key(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request, one answer."""
        named = {"authorization": self.authorization} | {name.replace("_", "-"): each for name, each in headers.items()}
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._session.request(method, self.api + path, data=data, headers=named) as answer:
                text = await answer.read()
                is_json = "json" in answer.content_type
                return Reply(answer.status, orjson.loads(text) if is_json and text else text, answer.headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Reply(0)

    async def submit(self, body: dict[str, Any], key: str | None = None, **headers: str) -> Reply:
        """One try, counted and remembered."""
        path = "/notifications/batch" if "notifications" in body else "/notifications"
        if key:
            headers["idempotency_key"] = key
        started = time.monotonic()
        reply = await self.call("POST", path, body, **headers)
        self.answers[reply.status] += 1
        if 200 <= reply.status < 300:
            self.longest_accept = max(self.longest_accept, time.monotonic() - started)
            for each in tracking_ids(reply.body):
                self.accepted.setdefault(each, time.monotonic())
        return reply

    async def insist(
        self, body: dict[str, Any], key: str | None = None, *, seconds: float = 180, **headers: str
    ) -> Reply:
        """The answer that counts: repeated with the same key while the service is away or says later."""
        key = key or self.new_key()
        deadline = time.monotonic() + seconds
        while True:
            reply = await self.submit(body, key, **headers)
            if reply.status not in _REPEATABLE:
                break
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2 + 0.5 * self._random.random())
        if not 200 <= reply.status < 300:
            self.refused.append(f"{reply.status} {str(reply.body)[:150]}")
        return reply

    async def submit_many(
        self, count: int, provider_url: str, *, batch: int = 0, at_once: int = 16, first: int = 0, **more: Any
    ) -> None:
        """``count`` notifications over all channels, alone or in batches of ``batch``."""
        gate = asyncio.Semaphore(at_once)

        async def one(start: int) -> None:
            size = min(batch or 1, first + count - start)
            items = [a_request(MIXED[each % 4], each, provider_url, **more) for each in range(start, start + size)]
            async with gate:
                await self.insist({"notifications": items} if batch else items[0])

        await asyncio.gather(*(one(start) for start in range(first, first + count, batch or 1)))

    async def listen(
        self, name: str, provider_url: str, statuses: tuple[str, ...] = ALL_STATUSES
    ) -> tuple[str, Listener]:
        """A new callback endpoint: its id, and what it should hear. Raises KeyError when it is refused."""
        body = {"url": f"{provider_url}/callbacks/{name}", "statuses": list(statuses)}
        reply = await self.call("POST", "/callback-endpoints", body)
        return reply.body["id"], Listener(name, reply.body["secret"], frozenset(statuses))

    async def views(self, ids: Iterable[str]) -> dict[str, View]:
        """The status answers of those that have one."""
        gate = asyncio.Semaphore(_READERS)
        found: dict[str, View] = {}

        async def look(tracking_id: str) -> None:
            async with gate:
                reply = await self.call("GET", f"/notifications/{tracking_id}")
            if reply.status == 200:
                found[tracking_id] = reply.body

        await asyncio.gather(*map(look, ids))
        return found


def unsettled(accepted: Iterable[str], views: Mapping[str, View]) -> list[str]:
    """Those without a final status."""
    return [each for each in accepted if views.get(each, {}).get("status") not in FINAL]
