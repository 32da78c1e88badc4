"""A campaign from outside: submits, kills parts of the stand-in meanwhile if told to, and reconciles what came of it.

``python -m bench.campaign --singles 1000 --batches 10 --kills 3`` starts the stand-in with its providers' base URLs at
the fake provider, waits until everything is settled, and prints the books: accepted, lost, called twice, in doubt,
callbacks. Exit status 1 when something was lost, or called twice without being in doubt, or not called back.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bench.callback_signature import is_authentic
from bench.load_plan import MIXED, Stream, notification
from bench.part_killer import kill_parts
from bench.process_usage import cpu_by_role, difference
from bench.provider_client import Provider, running_provider
from bench.quantiles import percentile
from bench.reconcile import FINAL, CallbackVerdict, View, reconcile, reconcile_callbacks
from bench.stack import APP, Stack, StackOptions, free_port_offset, running_stack

_CALLED_BACK = frozenset({"SENT", "DELIVERED", "FAILED"})
_WORTH_REPEATING = frozenset({0, 409, 429, 500, 503})
_BATCH = 1000
_SINGLE = Stream("campaign", channels=MIXED)


@dataclass
class Submitted:
    """What the client knows."""

    accepted: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


class Client:
    """A consumer that repeats a request, with its key, until it has an answer."""

    def __init__(self, session: aiohttp.ClientSession, stack: Stack, deadline: float) -> None:
        self._session, self._api, self._deadline = session, stack.api, deadline
        self.books = Submitted()

    async def submit(self, path: str, body: dict[str, Any]) -> None:
        key = str(uuid.uuid4())
        while True:
            started = time.monotonic()
            status, answer = await self._post(path, body, key)
            if status in {200, 202}:
                self.books.latencies.append(time.monotonic() - started)
                found = orjson.loads(answer)
                self.books.accepted += [each["trackingId"] for each in found.get("items", [found])]
                return
            if time.monotonic() > self._deadline or status not in _WORTH_REPEATING:
                self.books.refused[f"{status} {answer[:120]}"] += 1
                return
            await asyncio.sleep(0.3 + random.random() * 0.5)

    async def _post(self, path: str, body: dict[str, Any], key: str) -> tuple[int, str]:
        try:
            async with self._session.post(self._api + path, json=body, headers={"Idempotency-Key": key}) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, ""

    async def views(self, ids: Sequence[str]) -> dict[str, View]:
        """The final status answer of each notification, as far as there is one before the deadline."""
        views: dict[str, View] = {}
        waiting, gate = list(ids), asyncio.Semaphore(16)

        async def look(tracking_id: str) -> None:
            async with gate:
                try:
                    async with self._session.get(f"{self._api}/notifications/{tracking_id}") as answer:
                        if answer.status == 200:
                            views[tracking_id] = await answer.json()
                except (aiohttp.ClientError, TimeoutError, OSError):
                    return

        while waiting and time.monotonic() < self._deadline:
            await asyncio.gather(*map(look, waiting))
            waiting = [each for each in waiting if views.get(each, {}).get("status") not in FINAL]
            if waiting:
                await asyncio.sleep(2)
        return views

    async def register_callbacks(self, url: str) -> str:
        """The endpoint's secret."""
        endpoint = {"url": url, "statuses": sorted(_CALLED_BACK)}
        async with self._session.post(f"{self._api}/callback-endpoints", json=endpoint) as answer:
            answer.raise_for_status()
            return str((await answer.json())["secret"])


async def submit_all(client: Client, provider: Provider, options: argparse.Namespace) -> None:
    gate = asyncio.Semaphore(options.concurrency)

    async def one(path: str, body: dict[str, Any]) -> None:
        async with gate:
            await client.submit(path, body)

    numbers = iter(range(1, 10**9))
    items = (notification(number, _SINGLE, provider.url) for number in numbers)
    jobs = [one("/notifications", next(items)) for _ in range(options.singles)]
    jobs += [
        one("/notifications/batch", {"notifications": [next(items) for _ in range(_BATCH)]})
        for _ in range(options.batches)
    ]
    await asyncio.gather(*jobs)


async def until_called(client: Client, provider: Provider, already: int, deadline: float) -> None:
    """Returns when every accepted notification reached the provider, or the deadline has passed."""
    while time.monotonic() < deadline:
        counts = await asyncio.to_thread(provider.counts)
        if counts["notifications"] - already >= len(client.books.accepted):
            return
        await asyncio.sleep(0.25)


async def campaign(options: argparse.Namespace, stack: Stack) -> int:
    provider, timeout = stack.provider, aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(headers=stack.headers, timeout=timeout) as session:
        client = Client(session, stack, time.monotonic() + options.patience)
        secret = "" if options.no_callbacks else await client.register_callbacks(f"{provider.url}/callbacks/bench")
        await client.submit("/notifications", notification(0, _SINGLE, provider.url))
        await client.views(client.books.accepted)
        workers = {APP: stack.roles()[APP]}
        cpu, started = cpu_by_role(workers), time.monotonic()
        killing = asyncio.create_task(
            kill_parts(stack, random.Random(options.seed), times=options.kills, seconds=options.kill_seconds)
        )
        await submit_all(client, provider, options)
        accepted_in = time.monotonic() - started
        print("killed:", " ".join(await killing) or "nothing")
        await until_called(client, provider, 0, started + options.patience)
        called_in = time.monotonic() - started
        await asyncio.sleep(options.quiet)
        if not options.kills:
            used = difference(cpu_by_role(workers), cpu)[APP]
            print(f"app CPU: {used:.2f} s, {used / len(client.books.accepted) * 1000:.2f} ms each")
        views = await client.views(client.books.accepted)
    _print_speed(client.books, accepted_in, called_in)
    return _print_books(client.books.accepted, views, provider, secret)


def _print_speed(books: Submitted, accepted_in: float, called_in: float) -> None:
    count = len(books.accepted)
    print(f"accepted {count} in {accepted_in:.1f} s; refused {dict(books.refused)}")
    if books.latencies:
        p50, p95 = (percentile(books.latencies, share) * 1000 for share in (0.5, 0.95))
        print(f"accept latency p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    print(f"provider reached for all in {called_in:.1f} s = {count / called_in:.0f}/s")


def _print_books(accepted: Sequence[str], views: dict[str, View], provider: Provider, secret: str) -> int:
    unsettled: dict[str, View] = {each: {} for each in accepted if each not in views}
    verdict = reconcile(accepted, provider.calls_since(0), unsettled | views)
    print(f"statuses {dict(Counter(view['status'] for view in views.values()))}; in doubt {len(verdict.in_doubt)}")
    print(
        f"lost {len(verdict.lost)} {verdict.lost[:3]}; attempt ids called twice {len(verdict.attempts_called_twice)}; "
        f"notifications called twice, not in doubt {len(verdict.called_twice)} {verdict.called_twice[:3]}"
    )
    told = CallbackVerdict()
    if secret:
        callbacks = provider.callbacks()
        forged = sum(not is_authentic(secret, callback) for callback in callbacks)
        told = reconcile_callbacks(views, callbacks, _CALLED_BACK, forged)
    print(
        f"callbacks: wanted {told.wanted}, missing {len(told.missing)}, more than once {told.repeated}, "
        f"bad signatures {told.forged}"
    )
    return 0 if verdict.is_clean and not told.missing and not told.forged else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.campaign", description=__doc__.splitlines()[0])
    parser.add_argument("--singles", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--kills", type=int, default=0, help="of each of host, broker and store")
    parser.add_argument("--kill-seconds", type=float, default=60)
    parser.add_argument("--concurrency", type=int, default=20)
    parser.add_argument("--patience", type=float, default=300)
    parser.add_argument("--quiet", type=float, default=2, help="seconds to let callbacks finish before CPU is read")
    parser.add_argument("--no-callbacks", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--data", type=Path, default=None, help="keep the stand-in's folder here")
    parser.add_argument("--port-offset", type=int, help="added to every default port (default: a free one)")
    return parser.parse_args()


def main() -> int:
    options = _options()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="cns-campaign-") as temporary, running_provider() as provider:
        stack_options = StackOptions(
            options.data or Path(temporary), provider, options.port_offset or free_port_offset()
        )
        with running_stack(stack_options) as stack:
            return asyncio.run(campaign(options, stack))


if __name__ == "__main__":
    sys.exit(main())
