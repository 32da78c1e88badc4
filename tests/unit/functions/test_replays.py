"""Replays over HTTP, and the orchestrator that carries them out, driven by hand."""

import json
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import pytest

from functions import replays
from tests.fakes.dead_world import DeadWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT, World
from tests.unit.functions.conftest import trigger
from tests.unit.functions.test_orchestrations import NOW, Context, Task

OWNER = f"Bearer {TENANT}/DeadLetters.Replay"


class Client:
    """The durable client, as much of it as starting takes."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, Any]] = []

    async def start_new(self, name: str, instance_id: str, argument: Any) -> str:
        self.started.append((name, instance_id, argument))
        return instance_id


async def _answer(call: Any, builder: Any, expected: int, **options: Any) -> Any:
    answer = await call(builder, token=options.pop("token", OWNER), **options)
    assert answer.status_code == expected, answer.get_body()
    return answer


def test_an_order_is_accepted_begun_carried_out_and_watched(world: World, call: Any) -> None:
    async def scenario() -> None:
        dead, client = DeadWorld(world), Client()
        await dead.die(2)
        order = json.dumps({"filter": {"tag": "exhausted"}}).encode()

        accepted = await _answer(call, replays.order_replay, 202, body=order, client=client)
        ordered = json.loads(accepted.get_body())
        route = {"id": ordered["id"]}
        told = await trigger(replays.make_replay_step)(ordered["id"])
        told_again = await trigger(replays.make_replay_step)(ordered["id"])
        await dead.settle()

        assert accepted.headers["Location"] == f"/api/v1/dead-letters/replays/{ordered['id']}"
        assert client.started == [("replay", f"replay-{ordered['id']}", {"id": ordered["id"]})]
        assert (ordered["state"], ordered["selected"], ordered["orderedBy"]) == ("running", 2, TENANT)
        assert told["state"] == "running"
        assert datetime.fromisoformat(told["nextAt"]) > world.clock.now() - timedelta(seconds=5)
        assert told_again == told
        watched = json.loads((await _answer(call, replays.read_replay, 200, route=route)).get_body())
        assert (watched["replayed"], watched["skipped"], watched["failed"]) == (2, {}, 0)
        listed = json.loads((await _answer(call, replays.list_replays, 200)).get_body())
        assert [each["id"] for each in listed["replays"]] == [ordered["id"]]
        steered = await _answer(call, replays.steer_replay, 200, route=route | {"action": "cancel"}, client=client)
        assert json.loads(steered.get_body())["state"] == "cancelled"

    run_virtually(scenario())


async def test_a_repeat_with_the_key_gets_the_same_replay(world: World, call: Any) -> None:
    order, headers = json.dumps({"filter": {"tag": "exhausted"}}).encode(), {"Idempotency-Key": "k"}
    answers = [
        await _answer(call, replays.order_replay, 202, body=order, headers=headers, client=Client()) for _ in range(2)
    ]

    assert answers[0].get_body() == answers[1].get_body()
    other = json.dumps({"filter": {"tag": "poison"}}).encode()
    await _answer(call, replays.order_replay, 422, body=other, headers=headers, client=Client())


@pytest.mark.parametrize("replay_id", ["nothing", "a.b", "head", ""])
async def test_what_is_no_replay_is_not_found(world: World, call: Any, replay_id: str) -> None:
    await _answer(call, replays.read_replay, 404, route={"id": replay_id})
    for action in ("pause", "destroy"):
        await _answer(call, replays.steer_replay, 404, route={"id": replay_id, "action": action}, client=Client())


async def test_the_role_is_needed(world: World, call: Any) -> None:
    token = f"Bearer {TENANT}/Notifications.Send,Operations.Write"
    await _answer(call, replays.order_replay, 403, body=b"{}", token=token, client=Client())
    await _answer(call, replays.list_replays, 403, token=token)


async def test_an_order_that_is_too_large_is_refused(world: World, call: Any) -> None:
    await _answer(call, replays.order_replay, 413, body=b" " * 70_000, client=Client())


def _orchestration() -> tuple[Generator[Any, Any, Any], Context]:
    context = Context({"id": "r1"})
    context.continued: list[Any] = []  # type: ignore[misc]
    context.continue_as_new = context.continued.append  # type: ignore[attr-defined]
    return replays.replay._function.get_user_function().orchestrator_function(context), context


def _told(state: str, seconds: float = 2) -> dict[str, str]:
    return {"state": state, "nextAt": (NOW + timedelta(seconds=seconds)).isoformat()}


def test_the_orchestrator_makes_a_step_waits_for_the_next_and_ends_with_the_replay() -> None:
    orchestration, _ = _orchestration()

    step: Task = next(orchestration)
    timer: Task = orchestration.send(_told("running", 7))
    again: Task = orchestration.send(None)

    assert step.about == again.about == ("make_replay_step", "r1")
    assert (timer.kind, timer.about) == ("timer", NOW + timedelta(seconds=7))
    with pytest.raises(StopIteration) as ended:
        orchestration.send(_told("paused"))
    assert ended.value.value == "paused"


def test_a_step_that_failed_is_made_again_after_a_pause() -> None:
    orchestration, _ = _orchestration()
    next(orchestration)

    timer = orchestration.throw(RuntimeError("the worker died"))

    assert (timer.kind, timer.about) == ("timer", NOW + timedelta(seconds=30))
    assert orchestration.send(None).about == ("make_replay_step", "r1")


def test_a_long_replay_begins_a_new_history() -> None:
    orchestration, context = _orchestration()
    steps = 0
    task = next(orchestration)
    try:
        while True:
            steps += task.kind == "activity"
            task = orchestration.send(_told("running") if task.kind == "activity" else None)
    except StopIteration:
        pass

    assert steps == 50
    assert context.continued == [{"id": "r1"}]  # type: ignore[attr-defined]


async def test_the_watch_begins_what_nobody_carries_out(world: World, call: Any) -> None:
    order, client = json.dumps({"filter": {"tag": "exhausted"}}).encode(), Client()
    await _answer(call, replays.order_replay, 202, body=order, client=client)
    world.clock.advance(timedelta(minutes=5))

    await trigger(replays.carry_on_replays).client_function(None, client)  # type: ignore[attr-defined]

    assert len(client.started) == 2
