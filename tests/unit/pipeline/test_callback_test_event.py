"""A test event: signed, posted now, and what came of it told; it says nothing about the endpoint's health."""

import json

import pytest

from shared.domain.errors import InDoubt
from shared.domain.webhook_signature import verify
from shared.pipeline.callback_endpoints import register_endpoint, try_endpoint
from shared.ports import HttpAnswer
from tests.fakes.world import CALLER, TENANT, World

URL = "https://consumer.example/hook"


async def _registered(world: World) -> tuple[str, str]:
    body = json.dumps({"url": URL, "statuses": ["SENT"]}).encode()
    view = await register_endpoint(body, CALLER, world.services)
    assert view.secret
    return view.id, view.secret


async def test_it_is_signed_and_told_as_what_it_is() -> None:
    world = World()
    endpoint_id, secret = await _registered(world)

    told = await try_endpoint(endpoint_id, CALLER, world.services)

    [call] = world.callback_client.calls
    verify([secret], call.headers, call.body, world.clock.now())
    body = json.loads(call.body)
    assert (body["type"], body["data"]) == ("callback-endpoint.test", {"endpointId": endpoint_id})
    assert (told.delivered, told.status, told.problem) == (True, 204, None)
    assert told.webhook_id == call.headers["webhook-id"]


@pytest.mark.parametrize(
    ("answer", "status", "problem", "reply"),
    [
        (HttpAnswer(500, {}, b"Boom\r\n at line 42 for ada@example.com"), 500, "http_500", "Boom at line ## for ***"),
        (HttpAnswer(301, {"location": "http://10.0.0.1"}, b""), 301, "http_301", None),
        (HttpAnswer(410, {}, b"gone"), 410, "gone", "gone"),
        (HttpAnswer(200, {}, b"x" * 10_000), 200, None, "***"),
        (HttpAnswer(400, {}, b"\x00\xff\x1b[31mred"), 400, "http_400", "\ufffd [##mred"),
        (InDoubt("no_answer"), None, "no_answer", None),
    ],
)
async def test_what_is_wrong_with_the_endpoint_is_told(answer, status, problem, reply) -> None:
    world = World()
    endpoint_id, _ = await _registered(world)
    world.callback_client.answers[URL] = answer

    told = await try_endpoint(endpoint_id, CALLER, world.services)

    assert (told.status, told.problem, told.reply) == (status, problem, reply)
    stored = await world.endpoints.read(TENANT, endpoint_id)
    assert stored.enabled
    assert stored.health.is_well
