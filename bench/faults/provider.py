"""The world outside the service: all providers, the recipients' webhooks, and the consumers' callback endpoints.

An HTTP server inside the campaign's own process, which no fault touches: its lists are the ledger. Scenarios decide
by rules how a call or a callback is answered.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from bench.fake_provider import attempt_ids
from bench.faults.ledger import Call, Post

_HEARTBEAT_SECONDS = 0.01
_MAX_BODY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """How to answer: after ``delay`` seconds and once ``hold`` is set. Status 0 is whatever acceptance looks like."""

    status: int = 0
    delay: float = 0.0
    hold: asyncio.Event | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


WELL = Answer()


def _well(_: object) -> Answer:
    return WELL


class OutsideProvider:
    """``calls`` and ``posts`` in order of arrival; ``rule`` and ``callback_rules`` (by endpoint) decide answers."""

    def __init__(self) -> None:
        self.port = 0
        self.calls: list[Call] = []
        self.posts: list[Post] = []
        self.latest = 0.0  # seconds by which this process was late, at worst, to notice that something arrived
        self.strays: list[str] = []  # paths that nobody should have asked for
        self.rule: Callable[[Call], Answer] = _well
        self.callback_rules: dict[str, Callable[[Post], Answer]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reached(self) -> set[str]:
        """The notifications that some provider was called for."""
        return {call.delivery[0] for call in self.calls}

    def posts_to(self, endpoint: str) -> list[Post]:
        return [post for post in self.posts if post.endpoint == endpoint]

    def heal(self) -> None:
        self.rule = _well

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["OutsideProvider"]:
        """Listens on a free port of 127.0.0.1."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/callbacks/{name}", self._callback)
        app.router.add_route("*", "/elsewhere{rest:.*}", self._stray)
        app.router.add_post("/{path:.*}", self._call)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]
        heart = asyncio.create_task(self._watch_own_lateness())
        try:
            yield self
        finally:
            heart.cancel()
            await runner.cleanup()

    async def _watch_own_lateness(self) -> None:
        while True:
            due = time.monotonic() + _HEARTBEAT_SECONDS
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            self.latest = max(self.latest, time.monotonic() - due)

    async def _call(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            attempts, now = attempt_ids(request.path, headers, body), time.monotonic()
        except (LookupError, ValueError):
            return web.Response(status=400, text="no attempt id")
        calls = [Call(attempt, now, path=request.path) for attempt in attempts]
        self.calls += calls
        try:
            # A request that carries many attempts is answered as the first is that is not well.
            answer = next((each for each in map(self.rule, calls) if each is not WELL), WELL)
            response = refused(answer) if answer.status else accepted(request.path)
            await _wait(answer)
            for call in calls:
                call.status = response.status
            return response
        finally:
            for call in calls:
                call.ended = time.monotonic()

    async def _callback(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        signed = [request.headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature")]
        post = Post(request.match_info["name"], *signed, body=body, at=time.monotonic())
        self.posts.append(post)
        answer = self.callback_rules.get(post.endpoint, _well)(post)
        await _wait(answer)
        post.status = answer.status or 204
        return refused(answer) if answer.status else web.Response(status=204)

    async def _stray(self, request: web.Request) -> web.Response:
        self.strays.append(request.path)
        return web.Response(status=204)


async def _wait(answer: Answer) -> None:
    if answer.hold:
        await answer.hold.wait()
    if answer.delay:
        await asyncio.sleep(answer.delay)


def refused(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, text="{}", content_type="application/json")


def accepted(path: str) -> web.Response:
    """What the vendor answers when it takes the message."""
    if path == "/v3/mail/send":
        return web.Response(status=202, headers={"x-message-id": "m1"})
    if path.startswith("/2010-04-01"):
        return web.json_response({"sid": "SM1", "status": "queued"}, status=201)
    if path == "/emails:send":
        return web.json_response({"id": "1", "status": "Running"}, status=202)
    if "/messages" in path:
        return web.Response(status=201, headers={"location": "http://127.0.0.1/hub/messages/1-2-3?api-version=2020-06"})
    return web.Response(status=200)
