"""The samples against a small service that plays API and sandbox."""

import base64
import hashlib
import hmac
import json
import time

import aiohttp
import pytest
from aiohttp import web

from local_azure.up.data_folder import DataFolder
from local_azure.up.samples import Consumer, send_samples

_SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


class _Service:
    """Delivers each notification at the third look; `fails` names a channel that does not arrive."""

    def __init__(self, *, fails: str = "", forges: bool = False) -> None:
        self.fails = fails
        self.forges = forges
        self.endpoints: list[str] = []
        self.submitted: dict[str, dict] = {}
        self.looks: dict[str, int] = {}
        self.sandbox_secret = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/callback-endpoints", self.register),
            web.delete("/api/v1/callback-endpoints/{id}", self.delete),
            web.put("/callbacks/demo/secret", self.keep_secret),
            web.get("/callbacks/demo", self.callbacks),
            web.delete("/callbacks/demo", self.forget_callbacks),
            web.post("/api/v1/notifications", self.submit),
            web.get("/api/v1/notifications/{id}", self.status),
        ]

    async def register(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer token"
        self.endpoints.append(f"ep{len(self.endpoints)}")
        body = {"id": self.endpoints[-1], "secret": _SECRET, **await request.json()}
        return web.json_response(body, status=201)

    async def delete(self, request: web.Request) -> web.Response:
        self.endpoints.remove(request.match_info["id"])
        self.endpoints.append("deleted")
        return web.Response(status=204)

    async def keep_secret(self, request: web.Request) -> web.Response:
        self.sandbox_secret = (await request.json())["secret"]
        return web.Response(status=204)

    async def forget_callbacks(self, request: web.Request) -> web.Response:
        self.submitted.clear()
        return web.Response(status=204)

    async def submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        tracking_id = f"01{body['channels'][0]}"
        self.submitted[tracking_id] = body
        return web.json_response({"trackingId": tracking_id}, status=202)

    async def status(self, request: web.Request) -> web.Response:
        tracking_id = request.match_info["id"]
        look = self.looks[tracking_id] = self.looks.get(tracking_id, 0) + 1
        channel = self.submitted[tracking_id]["channels"][0]
        end = "failed" if channel == self.fails else "delivered"
        status = ["queued", "sent", end][min(look, 3) - 1]
        return web.json_response({"deliveries": [{"channel": channel, "status": status, "reason": "no such user"}]})

    async def callbacks(self, request: web.Request) -> web.Response:
        foreign = [{"headers": {}, "body": "not JSON"}, {"headers": {}, "body": "[]"}]
        return web.json_response(foreign + [self._callback(tracking_id) for tracking_id in self.submitted])

    def _callback(self, tracking_id: str) -> dict:
        event = {"type": "notification.delivered", "data": {"trackingId": tracking_id, "status": "DELIVERED"}}
        body, stamp = json.dumps(event), str(int(time.time()))
        key = b"x" if self.forges else b"s" * 32
        digest = hmac.new(key, f"cb_{tracking_id}.{stamp}.{body}".encode(), hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        headers = {"webhook-id": f"cb_{tracking_id}", "webhook-timestamp": stamp, "webhook-signature": signature}
        return {"headers": headers, "body": body}


@pytest.fixture
def project(tmp_path):
    template = tmp_path / "shared/templates/order-confirmation/1.1.0/template.json"
    template.parent.mkdir(parents=True)
    template.write_text(json.dumps({"sample": {"order": "A-1"}}))
    return tmp_path


async def _send(service: _Service, project, lines: list[str]) -> bool:
    application = web.Application()
    application.add_routes(service.routes())
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            consumer = Consumer(session, url, url, {"Authorization": "Bearer token"}, lines.append)
            return await send_samples(consumer, project, DataFolder(project))
    finally:
        await runner.cleanup()


async def test_each_channel_is_followed_to_delivered_and_its_callback_verified(project):
    service, lines = _Service(), []

    assert await _send(service, project, lines)

    assert service.sandbox_secret == _SECRET
    assert {body["data"]["order"] for body in service.submitted.values()} == {"A-1"}
    for channel in ("email", "sms", "push", "webhook", "slack", "whatsapp"):
        told = [line.split(" ms ", 1)[1].strip() for line in lines if line.split()[0] == channel]
        assert told == [
            f"accepted as 01{channel}",
            "queued",
            "sent",
            "delivered",
            f"callback verified (cb_01{channel})",
        ]
    assert lines[-1].startswith("samples: 6 of 6 delivered")


async def test_a_second_run_deletes_the_endpoint_of_the_first(project):
    service = _Service()

    await _send(service, project, [])
    assert service.endpoints == ["ep0"]
    await _send(service, project, [])

    assert service.endpoints == ["ep1", "deleted"]


async def test_a_channel_that_fails_is_named_with_its_reason(project):
    lines = []

    assert not await _send(_Service(fails="sms"), project, lines)

    assert "  sms      FAILED: 01sms is failed: no such user" in lines
    assert lines[-1].startswith("samples: 5 of 6")


async def test_a_forged_callback_is_a_failure(project):
    lines = []

    assert not await _send(_Service(forges=True), project, lines)

    assert "  email    FAILED: the callback for 01email has a wrong signature" in lines
