import json
from typing import Any

import pytest

from functions import operations
from shared.adapters.cosmos_quarantines import CosmosQuarantines
from shared.domain.lane_telling import Telling
from shared.domain.notification import Lane
from shared.pipeline.lane_board import LaneBoard
from shared.pipeline.lanes import Lanes
from shared.pipeline.quarantine import Quarantines
from tests.fakes.lane_board import InMemoryBoard, Seconds
from tests.fakes.world import World

READ, WRITE = "Bearer ops/Operations.Read", "Bearer ops/Operations.Write"
CONSUMER = "Bearer shop/Notifications.Send,Notifications.Read"


@pytest.fixture(autouse=True)
def _with_quarantines(world: World) -> None:
    store = CosmosQuarantines(world.database)  # type: ignore[arg-type]
    world.with_(quarantine_store=store, quarantines=Quarantines(store))


def _body(answer: Any) -> dict[str, Any]:
    return dict(json.loads(answer.get_body()))


async def _open(call: Any, **asked: Any) -> Any:
    return await call(operations.open_quarantine, json.dumps({"tenant": "shop"} | asked).encode(), token=WRITE)


async def test_a_quarantine_is_opened_listed_and_released(call: Any) -> None:
    opened = _body(await _open(call, template="welcome-new-user", note="wrong prices"))
    again = _body(await _open(call, template="welcome-new-user"))
    listed = _body(await call(operations.list_quarantines, token=READ))["quarantines"]
    released = await call(operations.release_quarantine, token=WRITE, route={"id": opened["id"]})
    active = _body(await call(operations.list_quarantines, token=READ, query={"state": "active"}))

    assert opened == again == listed[0]
    assert (opened["id"], opened["state"]) == ("template.shop.welcome-new-user", "active")
    assert (opened["lanes"], "security" in opened["categories"]) == (["low", "normal"], False)
    assert (opened["openedBy"], opened["note"], opened["held"]) == ("ops", "wrong prices", 0)
    assert (released.status_code, _body(released)["state"], _body(released)["releasedBy"]) == (200, "released", "ops")
    assert active == {"quarantines": []}


async def test_lanes_and_categories_may_be_named(call: Any) -> None:
    opened = _body(await _open(call, lanes=["high"], categories=["security"]))

    assert (opened["lanes"], opened["categories"]) == (["high"], ["security"])


@pytest.mark.parametrize(
    "asked",
    [{"tenant": "a b"}, {"template": "A!"}, {"lanes": []}, {"categories": ["spam"]}, {"what": 1}, {"note": "\n"}],
)
async def test_what_can_not_be_meant_is_refused(call: Any, asked: dict[str, Any]) -> None:
    assert (await _open(call, **asked)).status_code == 422


async def test_what_is_not_there_can_not_be_released(call: Any) -> None:
    assert (await call(operations.release_quarantine, token=WRITE, route={"id": "tenant.nobody"})).status_code == 404


async def test_an_unknown_state_is_refused(call: Any) -> None:
    assert (await call(operations.list_quarantines, token=READ, query={"state": "x"})).status_code == 422


@pytest.mark.parametrize("token", [CONSUMER, READ])
async def test_only_operators_write(call: Any, token: str) -> None:
    opened = await call(operations.open_quarantine, b"{}", token=token)
    released = await call(operations.release_quarantine, token=token, route={"id": "x"})

    assert (opened.status_code, released.status_code) == (403, 403)


@pytest.mark.parametrize("token", [CONSUMER, WRITE])
async def test_only_who_may_reads(call: Any, token: str) -> None:
    assert (await call(operations.list_quarantines, token=token)).status_code == 403
    assert (await call(operations.read_lanes, token=token)).status_code == 403


async def test_without_the_store_the_answer_is_503(world: World, call: Any) -> None:
    world.database.away = True

    assert (await call(operations.list_quarantines, token=READ)).status_code == 503
    assert (await _open(call)).status_code == 503


async def test_the_lanes_say_how_late_they_are_and_which_are_closed(world: World, call: Any) -> None:
    seconds, board = Seconds(), InMemoryBoard()
    lanes = Lanes(board, monotonic=seconds)
    world.with_(lanes=lanes)
    await lanes.board.look()
    await LaneBoard(board, seconds).tell({("email", Lane.NORMAL): Telling(90.0, 70.0)})
    seconds.advance(1.1)

    answer = _body(await call(operations.read_lanes, token=READ))["lanes"]

    email = {each["lane"]: each for each in answer if each["channel"] == "email"}
    assert (email["normal"]["lateSeconds"], email["normal"]["feltLateSeconds"]) == (90.0, 70.0)
    assert {lane: each["closed"] for lane, each in email.items()} == {"high": False, "normal": True, "low": True}
    assert {each["closed"] for each in answer if each["channel"] == "sms"} == {False}
