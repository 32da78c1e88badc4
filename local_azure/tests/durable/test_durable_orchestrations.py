"""Orchestrations with the SDK's own orchestrators, activities and client."""

import asyncio
import time

import pytest

from local_azure.tests.durable.conftest import TaskHub
from local_azure.tests.durable.durable_app import runs, unique

pytestmark = pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")


async def test_an_activity_result_comes_back_to_the_orchestrator(hub: TaskHub):
    assert await hub.output("say_hello", "Ada") == "Hello Ada"


async def test_names_are_case_insensitive(hub: TaskHub):
    assert await hub.output("SAY_Hello", "Ada") == "Hello Ada"


async def test_any_input_reaches_the_orchestrator_and_comes_back(hub: TaskHub):
    values = [None, 0, "", "text", [1], {"a": {"b": None}}, 2**70, 1.5, "\ud800", True]
    outputs = await asyncio.gather(*(hub.output("describe", value) for value in values))

    assert [output[0] for output in outputs] == values


async def test_retry_until_success_and_until_the_attempts_are_used_up(hub: TaskHub):
    key = unique("flaky")

    assert await hub.output("retrying", {"key": key, "failures": 2, "attempts": 3}) == f"{key} after 3"
    failed = await hub.client.start_new("retrying", client_input={"key": unique("flaky"), "failures": 9, "attempts": 3})
    status = await hub.finished(failed)

    assert status.runtime_status.value == "Failed"
    assert "boom 3" in status.output


async def test_retries_in_a_fan_out_keep_every_result_with_its_task(hub: TaskHub):
    instance_id = unique("mixed")
    first, second = await hub.output("retrying_fan_out", 20, instance_id=instance_id)

    assert first[1::2] == [index * index for index in range(20)]
    assert first[0::2] == [f"{instance_id}-{index} after {index % 4 + 1}" for index in range(20)]
    assert second == [0, 1, 4]


async def test_a_timer_fires_not_before_its_time(hub: TaskHub):
    began = time.monotonic()
    waited = await hub.output("sleeper", 0.2)

    assert 0.2 <= waited < 1
    assert time.monotonic() - began >= 0.2


async def test_a_timer_in_the_past_fires_at_once(hub: TaskHub):
    assert await hub.output("sleeper", -5) >= 0


async def test_an_event_wins_against_a_timer_and_cancels_it(hub: TaskHub):
    instance_id = await hub.client.start_new("approval", client_input=3600)
    await hub.until(instance_id, lambda status: status.runtime_status.value == "Running")
    await hub.client.raise_event(instance_id, "approved", {"by": "eve"})
    status = await hub.finished(instance_id)

    assert status.output == ["approved", '{"by": "eve"}']


async def test_the_timer_wins_when_no_event_comes(hub: TaskHub):
    assert await hub.output("approval", 0.05) == ["timeout", None]


@pytest.mark.parametrize(("raised", "taken"), [([1], ["1", "1"]), ([1, 2], ["2", "2"])])
async def test_events_raised_before_the_wait_are_kept_as_the_sdk_keeps_them(hub: TaskHub, raised: list, taken: list):
    """The last one of a name is handed to every later wait of that name."""
    instance_id = await hub.client.start_new("works_then_waits_twice")
    for value in raised:
        await hub.client.raise_event(instance_id, "note", value)

    assert (await hub.finished(instance_id)).output == taken


async def test_a_task_that_is_not_yielded_is_never_scheduled_and_a_falsy_status_is_dropped(hub: TaskHub):
    before = runs["hello"]
    instance_id = await hub.client.start_new("forgets_to_yield")
    status = await hub.finished(instance_id)

    assert (status.output, status.custom_status, runs["hello"]) == ("only this", None, before)


async def test_a_timer_follows_every_failed_attempt_also_the_last(hub: TaskHub):
    plan = {"key": unique("timers"), "failures": 9, "attempts": 3}
    instance_id = await hub.client.start_new("retrying", client_input=plan)
    await hub.finished(instance_id)
    history = (await hub.client.get_status(instance_id, show_history=True)).historyEvents

    assert [entry["EventType"] for entry in history[1:-1]] == ["TaskFailed", "TimerFired"] * 3


async def test_a_child_cannot_take_the_id_of_a_live_instance_nor_a_malformed_one(hub: TaskHub):
    taken = await hub.client.start_new("approval", client_input=3600)
    for child_id, complaint in ((taken, "already running"), ("@no", "must not start"), ("\ud800", "must not contain")):
        instance_id = await hub.client.start_new("starts_child_under", client_input=child_id)
        status = await hub.finished(instance_id)
        assert status.runtime_status.value == "Failed"
        assert complaint in status.output


async def test_custom_status_is_visible_while_the_instance_waits(hub: TaskHub):
    instance_id = await hub.client.start_new("two_waits")
    status = await hub.until(instance_id, lambda status: status.custom_status is not None)

    assert status.custom_status == {"phase": "waiting"}


async def test_sub_orchestrations_return_fail_and_know_their_parent(hub: TaskHub):
    instance_id = unique("parent")
    results, named, error = await hub.output("parent", ["a", "b", "c"], instance_id=instance_id)

    assert results == ["Hello a", "Hello b", "Hello c"]
    assert named == [7, None, f"{instance_id}-child", instance_id]
    assert "no luck for child" in error


async def test_a_sub_orchestration_is_retried(hub: TaskHub):
    key = unique("sub")

    assert await hub.output("parent_retrying", {"key": key, "failures": 2}) == f"{key} after 3"


async def test_a_failing_orchestrator_shows_its_error_and_its_custom_status(hub: TaskHub):
    status = await hub.finished(await hub.client.start_new("failing", client_input="x"))

    assert status.runtime_status.value == "Failed"
    assert status.output == "Orchestrator function 'failing' failed: no luck for x"
    assert status.custom_status == "about to fail"


async def test_continue_as_new_starts_over_with_the_new_input(hub: TaskHub):
    assert await hub.output("counter_loop", {"round": 0, "until": 12}) == 12


async def test_continue_as_new_keeps_events_that_were_not_taken(hub: TaskHub):
    instance_id = await hub.client.start_new("event_collector")
    for index in range(5):
        await hub.client.raise_event(instance_id, "item", index)
    status = await hub.finished(instance_id)

    assert sorted(status.output) == ["0", "1", "2", "3", "4"]


async def test_each_step_is_seen_exactly_once_when_not_replaying(hub: TaskHub):
    instance_id = unique("witness")
    await hub.output("replay_witness", instance_id=instance_id)

    seen = {key: count for key, count in runs.items() if key.startswith(instance_id)}
    assert set(seen.values()) == {1}
    assert len(seen) == 5


async def test_a_yielded_child_of_a_compound_is_as_wrong_as_in_azure(hub: TaskHub):
    """The SDK schedules the child twice and takes the second result for its sibling's; the ids must agree with that."""
    assert await hub.output("yields_a_child_of_a_compound") == [1, [1, 1]]


async def test_an_unknown_activity_fails_the_orchestration(hub: TaskHub):
    status = await hub.finished(await hub.client.start_new("calls_what_is_missing"))

    assert status.runtime_status.value == "Failed"
    assert "'no_such_activity' doesn't exist" in status.output


async def test_a_fan_out_of_five_hundred_adds_up(hub: TaskHub):
    assert await hub.output("fan_out", 500) == sum(i * i for i in range(500))


async def test_instances_run_side_by_side(hub: TaskHub):
    ids = await asyncio.gather(*(hub.client.start_new("say_hello", client_input=str(i)) for i in range(100)))
    statuses = await asyncio.gather(*(hub.finished(instance_id) for instance_id in ids))

    assert {status.output for status in statuses} == {f"Hello {i}" for i in range(100)}
