"""Sends one notification per channel through the public API, follows each to *delivered*, and verifies its callback.

Uses nothing but what a consumer has: a token, the API, and an address that takes callbacks (played by the sandbox).
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from local_azure.up.callback_signature import is_authentic
from local_azure.up.data_folder import DataFolder
from local_azure.up.sample_requests import sample_requests

_TIME_LIMIT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_CANNOT_IMPROVE = {"failed", "expired", "bounced"}
_CALLBACK_STATUSES = ["SENT", "DELIVERED", "FAILED"]


class SampleFailed(Exception):
    """A sample did not arrive; the text says what happened instead."""


@dataclass(frozen=True)
class Consumer:
    """What a consumer of the service knows, and where it tells what it sees."""

    session: aiohttp.ClientSession
    api_url: str
    sandbox_url: str
    headers: dict[str, str]
    say: Callable[[str], None]

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises: SampleFailed: the API did not answer 2xx."""
        return await _call(self.session, method, f"{self.api_url}/api/v1{path}", body, self.headers)

    async def call_sandbox(self, method: str, path: str, body: Any = None) -> Any:
        return await _call(self.session, method, f"{self.sandbox_url}{path}", body, {})


async def send_samples(consumer: Consumer, project: Path, folder: DataFolder) -> bool:
    """Whether everything arrived within a minute."""
    started = time.monotonic()
    requests = sample_requests(project, consumer.sandbox_url)
    try:
        secret = await _register_endpoint(consumer, folder)
    except SampleFailed as failure:
        consumer.say(f"samples: {failure}")
        return False
    results = await asyncio.gather(
        *(_send_and_follow(consumer, channel, body, secret) for channel, body in requests.items()),
        return_exceptions=True,
    )
    return _summarize(consumer, dict(zip(requests, results, strict=True)), time.monotonic() - started)


async def _register_endpoint(consumer: Consumer, folder: DataFolder) -> str:
    """The new endpoint's secret. The endpoint of the run before is deleted, so that nothing is called back twice."""
    url = f"{consumer.sandbox_url}/callbacks/demo"
    endpoint = await consumer.call("POST", "/callback-endpoints", {"url": url, "statuses": _CALLBACK_STATUSES})
    await consumer.call_sandbox("DELETE", "/callbacks/demo")  # what earlier runs received
    await consumer.call_sandbox("PUT", "/callbacks/demo/secret", {"secret": endpoint["secret"]})
    noted = folder.path / "demo_callback_endpoint"
    if noted.exists():
        try:
            await consumer.call("DELETE", f"/callback-endpoints/{noted.read_text()}")
        except SampleFailed as failure:
            consumer.say(f"samples: the callback endpoint of an earlier run was not deleted: {failure}")
    noted.write_text(endpoint["id"])
    return str(endpoint["secret"])


async def _send_and_follow(consumer: Consumer, channel: str, body: dict[str, Any], secret: str) -> None:
    started = time.monotonic()

    def say(what: str) -> None:
        consumer.say(f"  {channel:8} {(time.monotonic() - started) * 1000:7.0f} ms  {what}")

    try:
        async with asyncio.timeout(_TIME_LIMIT_SECONDS):
            accepted = await consumer.call("POST", "/notifications", body)
            tracking_id = accepted["trackingId"]
            say(f"accepted as {tracking_id}")
            await _follow_to_delivered(consumer, tracking_id, say)
            callback_id = await _wait_for_callback(consumer, tracking_id, secret)
            say(f"callback verified ({callback_id})")
    except TimeoutError:
        raise SampleFailed(f"nothing further within {_TIME_LIMIT_SECONDS:.0f} s") from None


async def _follow_to_delivered(consumer: Consumer, tracking_id: str, say: Callable[[str], None]) -> None:
    shown = ""
    while shown != "delivered":
        notification = await consumer.call("GET", f"/notifications/{tracking_id}")
        delivery = notification["deliveries"][0]
        if delivery["status"] != shown:
            shown = delivery["status"]
            say(shown)
        if shown in _CANNOT_IMPROVE:
            raise SampleFailed(f"{tracking_id} is {shown}: {delivery.get('reason', 'no reason given')}")
        await asyncio.sleep(_POLL_SECONDS)


async def _wait_for_callback(consumer: Consumer, tracking_id: str, secret: str) -> str:
    """The webhook-id of the callback that says DELIVERED. Raises: SampleFailed: its signature is wrong."""
    while True:
        for callback in await consumer.call_sandbox("GET", "/callbacks/demo"):
            if _tells(callback["body"], tracking_id, "DELIVERED"):
                if not is_authentic(callback["headers"], callback["body"], secret, now=time.time()):
                    raise SampleFailed(f"the callback for {tracking_id} has a wrong signature")
                return str(callback["headers"]["webhook-id"])
        await asyncio.sleep(_POLL_SECONDS)


def _tells(body: str, tracking_id: str, status: str) -> bool:
    try:
        event = json.loads(body)["data"]
        return bool(event["trackingId"] == tracking_id and event["status"] == status)
    except (ValueError, KeyError, TypeError):  # anybody can post anything to the sandbox
        return False


def _summarize(consumer: Consumer, results: dict[str, BaseException | None], elapsed_seconds: float) -> bool:
    failures = {channel: result for channel, result in results.items() if result is not None}
    for channel, failure in failures.items():
        if not isinstance(failure, SampleFailed):
            raise failure
        consumer.say(f"  {channel:8} FAILED: {failure}")
    arrived = [channel for channel in results if channel not in failures]
    count = f"{len(arrived)} of {len(results)}"
    consumer.say(f"samples: {count} delivered, each with a verified callback, in {elapsed_seconds:.1f} s")
    return not failures


async def _call(session: aiohttp.ClientSession, method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
    try:
        async with session.request(method, url, json=body, headers=headers) as response:
            text = await response.text()
            if response.status >= 300:
                raise SampleFailed(f"{method} {url} answered {response.status}: {text[:1000]}")
            return await response.json(content_type=None) if text else None
    except aiohttp.ClientError as error:
        raise SampleFailed(f"{method} {url}: {type(error).__name__}: {error}") from error
