"""The small translations: errors of functions, replay state, the order of an episode, and the writer."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from local_azure.functions_host.durable.decisions import arrange
from local_azure.functions_host.durable.history import EventType, as_played, new_event, render
from local_azure.functions_host.durable.instance import Message, ReplayState, RetryGroup, Work
from local_azure.functions_host.durable.instant import system_clock
from local_azure.functions_host.durable.json_text import decoded_once, loads
from local_azure.functions_host.durable.outcome import describe_failure, outcome_of_failure, outcome_of_return
from local_azure.functions_host.durable.timers import Timers
from local_azure.functions_host.durable.writer import StoreUnusable, Writer, open_connection

STATE = '{"isDone": false, "actions": [[]], "customStatus": "s", "error": "boom"}'


@pytest.mark.parametrize(
    "text", ["boom", "it's", "both ' and \"", "two\nlines", "\\ \u00fc \U0001f600", "$OutOfProcData$:"]
)
@pytest.mark.parametrize("quoted", [True, False])
def test_the_state_behind_an_error_is_found(text: str, quoted: bool):
    message = f"{text}\n\n$OutOfProcData$:{STATE}"
    outcome = outcome_of_failure(repr(Exception(message)) if quoted else message)

    assert (outcome.error, outcome.custom_status, outcome.leaves) == ("boom", '"s"', [])


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("ValueError('boom')", "ValueError: boom"),
        ("my.Error('a', 1)", "my.Error('a', 1)"),
        ("KeyError('x')", "KeyError: x"),
        ("plain text", "plain text"),
        ("", ""),
        ("Broken(", "Broken("),
        ("Exception('\n\n$OutOfProcData$:not json')", "Exception('\n\n$OutOfProcData$:not json')"),
    ],
)
def test_a_failure_without_state_is_described(message: str, shown: str):
    assert describe_failure(message) == shown
    assert outcome_of_failure(message).error == shown


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"actions": 1}', "Hello"])
def test_what_is_no_orchestrator_state_is_refused(text: str):
    with pytest.raises(ValueError, match=r".+"):
        outcome_of_return(text)


@pytest.mark.parametrize(
    ("token", "text"),
    [("null", None), ('"5"', "5"), ('{"a":1}', '{"a":1}'), ("[1]", "[1]"), ('"{\\"a\\":1}"', '{"a":1}')],
)
def test_inputs_are_decoded_once(token: str, text: str | None):
    assert decoded_once(token) == text


def test_replay_state_comes_back_from_its_text():
    group = RetryGroup("activity", "name", "1", interval_ms=5, max_attempts=3, attempts=2)
    state = ReplayState(actions_done=4, next_id=7, retries={6: group}, timers={2: 5})

    assert ReplayState.from_text(state.to_text()) == state


def test_an_episode_starts_with_the_execution_and_ends_with_what_takes_internal_ids():
    state = ReplayState(
        retries={
            1: RetryGroup("activity", "a", None, 1, 3),
            2: RetryGroup("activity", "a", None, 1, 3, attempts=2),
            3: RetryGroup("activity", "a", None, 1, 3, attempts=3),
        }
    )
    failed = new_event(EventType.TASK_FAILED, "t", TaskScheduledId=1)
    retry_due = new_event(EventType.TIMER_FIRED, "t", TimerId=2)
    exhausted = new_event(EventType.TIMER_FIRED, "t", TimerId=3)
    plain = new_event(EventType.TASK_FAILED, "t", TaskScheduledId=9)
    started = new_event(EventType.EXECUTION_STARTED, "t")
    arranged = arrange([Message(e) for e in (failed, retry_due, exhausted, plain, started)], state)

    assert [message.event for message in arranged] == [started, exhausted, plain, failed, retry_due]


def test_events_are_new_once_and_played_afterwards():
    rendered = render(new_event(EventType.EVENT_RAISED, "t", Name='"IsPlayed":false', Input="1"))

    assert loads(rendered)["IsPlayed"] is False
    assert loads(as_played(rendered)) == {**loads(rendered), "IsPlayed": True}
    assert as_played(as_played(rendered)) == as_played(rendered)


def table(folder: Path) -> Path:
    path = folder / "x.sqlite3"
    with contextlib.closing(open_connection(path)) as connection:
        connection.execute("CREATE TABLE t (x TEXT)")
    return path


def rows(path: Path) -> list:
    with contextlib.closing(open_connection(path)) as connection:
        return connection.execute("SELECT x FROM t").fetchall()


async def test_a_value_that_cannot_be_stored_spoils_only_its_own_group(tmp_path: Path):
    path = table(tmp_path)
    writer = Writer(path, synchronous="NORMAL")
    writer.start()
    bad = writer.submit([("INSERT INTO t VALUES (?)", [("kept?",)]), ("INSERT INTO t VALUES (?)", [("\ud800",)])])
    good = writer.submit([("INSERT INTO t VALUES (?)", [("good",)])])
    with pytest.raises(StoreUnusable):
        await bad
    await good
    await writer.stop()

    assert rows(path) == [("good",)]


async def test_nothing_is_written_after_a_failing_store(tmp_path: Path):
    path = table(tmp_path)
    writer = Writer(path, synchronous="NORMAL")
    writer.start()
    first = writer.submit([("INSERT INTO missing VALUES (?)", [(1,)])])
    with pytest.raises(StoreUnusable):
        await first
    with pytest.raises(StoreUnusable, match="missing"):
        writer.submit([("INSERT INTO t VALUES (?)", [(1,)])])
    await writer.stop()

    assert rows(path) == []


async def test_every_timer_fires_in_order_except_those_cancelled():
    fired: list[int] = []
    timers = Timers(system_clock, lambda timer: fired.append(timer.number))
    made = [Work(n, "i", "e", "timer", n, due=f"2020-01-01T00:00:{n // 100:02d}.{n:06d}Z") for n in range(5000)]
    for timer in reversed(made):
        timers.add(timer)
        timer.is_cancelled = timer.number % 3 == 0
    running = asyncio.create_task(timers.run())
    await asyncio.sleep(0)
    running.cancel()

    assert fired == [n for n in range(5000) if n % 3]
