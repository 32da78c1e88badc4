"""What callbacks add: a consumer that wants to be told of every outcome, signed."""

import json
import time
import urllib.request

from bench.figures import Section
from bench.load_plan import Stream
from bench.measurements.delivery import batches, by_function, singles
from bench.observation import Bench, Watch
from bench.stack import Stack

_WANTED = ["SENT", "DELIVERED", "FAILED"]
_STALL_SECONDS = 20.0


def measure(bench: Bench, stack: Stack) -> None:
    """Last on its stack, because the endpoint stays registered."""
    _register(stack, f"{bench.provider.url}/callbacks/bench")
    with bench.section("With callbacks for every outcome") as section:
        for lane, stream in {"single": singles(bench), "batch": batches(bench)}.items():
            _once(bench, stack, section, lane, stream)


def _once(bench: Bench, stack: Stack, section: Section, lane: str, stream: Stream) -> None:
    told_before = bench.provider.counts()["callbacks"]
    watch = Watch(stack)
    load = bench.submit(stack, stream)
    accepted = sum(len(request.tracking_ids()) for request in load.requests())
    _wait_for_callbacks(bench, told_before + accepted)
    seen = bench.settle(watch, [load])
    told = bench.provider.counts()["callbacks"] - told_before
    section.add(f"app CPU for 1,000 delivered and called back, {lane}", "s", [seen.cpu_per_thousand()], in_summary=True)
    section.add(f"delivered a second, {lane}", "1/s", [seen.delivered_per_second])
    section.add(f"callbacks a notification, {lane}", "1", [told / seen.delivered])
    section.add(f"RU a notification, {lane}", "RU", [seen.units_per_notification()])
    section.tables[f"By function, for 1,000 delivered, {lane}"] = by_function(seen)


def _wait_for_callbacks(bench: Bench, wanted: int) -> None:
    """Returns when they are there, or when no more come."""
    seen, since = -1, time.monotonic()
    while seen < wanted and time.monotonic() - since < _STALL_SECONDS:
        told = bench.provider.counts()["callbacks"]
        if told != seen:
            seen, since = told, time.monotonic()
        time.sleep(0.2)


def _register(stack: Stack, url: str) -> None:
    body = json.dumps({"url": url, "statuses": _WANTED}).encode()
    headers = {**stack.headers, "content-type": "application/json"}
    request = urllib.request.Request(f"{stack.api}/callback-endpoints", body, headers)  # noqa: S310 - our own address
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - our own address
