from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.durable_orchestrations import WHOLE, DurableOrchestrations, DurableOutcomeWaiter, waiter_id
from shared.domain.identifiers import TrackingId
from shared.domain.status import DeliveryStatus
from tests.fakes.channels_in_turn import CONTENT, RECIPIENT, in_turn
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World, a_request

ID = TrackingId("01M86PTPG0FM4ZR32P5GKMSV2T")


class State(Enum):
    Pending = "Pending"
    Running = "Running"
    Suspended = "Suspended"
    ContinuedAsNew = "ContinuedAsNew"
    Completed = "Completed"
    Failed = "Failed"
    Terminated = "Terminated"


@dataclass
class Status:
    runtime_status: State | None
    output: Any = None


class Client:
    """A DurableOrchestrationClient with one instance, in the states it is told, one look after the other."""

    def __init__(self, *states: Status | Exception | None, start: Exception | None = None) -> None:
        self._states = list(states)
        self._start = start
        self.started: list[tuple[str, str, Any]] = []
        self.raised: list[tuple[str, str, Any]] = []

    async def start_new(self, name: str, instance_id: str, argument: Any) -> None:
        if self._start:
            raise self._start
        self.started.append((name, instance_id, argument))

    async def get_status(self, instance_id: str) -> Status | None:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if isinstance(state, Exception):
            raise state
        return state

    async def raise_event(self, instance_id: str, event: str, argument: Any) -> None:
        self.raised.append((instance_id, event, argument))


ALIVE = [State.Pending, State.Running, State.Suspended, State.ContinuedAsNew]
ENDED = [State.Completed, State.Failed, State.Terminated]


def _waiter(client: Client) -> DurableOutcomeWaiter:
    class Waiter(DurableOutcomeWaiter):
        _client = client  # what the binding's text would make

    return Waiter("{}")


async def test_a_new_instance_is_started() -> None:
    client = Client(None)

    assert await DurableOrchestrations(client).start("retry_delivery", "i", {"a": 1})
    assert client.started == [("retry_delivery", "i", {"a": 1})]


async def test_an_instance_that_is_alive_is_not_started_again_and_a_real_failure_is_not_hidden() -> None:
    refused = Exception("an instance with this id exists")

    assert not await DurableOrchestrations(Client(Status(State.Running), start=refused)).start("n", "i", {})
    for state in (None, Status(State.Completed), Status(None)):
        with pytest.raises(Exception, match="exists"):
            await DurableOrchestrations(Client(state, start=refused)).start("n", "i", {})


@pytest.mark.parametrize("state", ALIVE)
async def test_an_event_reaches_who_is_alive(state: State) -> None:
    client = Client(Status(state))

    assert await DurableOrchestrations(client).raise_event("i", "attempt-2", {"status": "sent"})
    assert client.raised == [("i", "attempt-2", {"status": "sent"})]


@pytest.mark.parametrize("state", [None, *ENDED])
async def test_nobody_hears_an_event_who_is_not_there(state: State | None) -> None:
    client = Client(Status(state) if state else None)

    assert not await DurableOrchestrations(client).raise_event("i", "attempt-2", {})
    assert client.raised == []


async def test_waiting_is_an_orchestration_that_knows_the_channels_and_the_patience() -> None:
    world, client = World(), Client(None)
    await world.submit()

    assert await _waiter(client).start(world.notifications[0], timedelta(seconds=7))

    [(name, instance, argument)] = client.started
    assert (name, instance) == ("await_outcome", waiter_id(world.notifications[0].tracking_id))
    assert argument == {"channels": ["email"], "waitSeconds": 7.0}


async def test_that_nobody_can_wait_is_no_refusal() -> None:
    world = World()
    await world.submit()

    assert not await _waiter(Client(None, start=Exception("down"))).start(world.notifications[0], timedelta(seconds=7))


@pytest.mark.parametrize(
    ("states", "settled"),
    [
        ([Status(State.Running), Status(State.Completed, "settled")], True),
        ([Status(State.Completed, "pending")], False),
        ([Status(State.Failed, "x")], False),
        ([None, Status(State.Pending), Status(State.Completed, "settled")], True),
        ([Status(State.Running)], False),
        ([Exception("the Durable API is away")], False),
    ],
)
def test_the_outcome_is_settled_or_the_time_is_up(states: list[Any], settled: bool) -> None:
    assert run_virtually(_waiter(Client(*states)).wait(ID, timedelta(seconds=5))) is settled


async def test_only_what_has_ended_is_forgotten() -> None:
    class Client:
        async def purge_instance_history_by(self, since: datetime, until: datetime, statuses: list) -> SimpleNamespace:
            self.asked = (since, until, {status.name for status in statuses})
            return SimpleNamespace(instances_deleted=3)

    client = Client()
    since, until = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)

    assert await DurableOrchestrations(client).forget_finished(since, until) == 3
    assert client.asked == (since, until, {"Completed", "Failed", "Terminated", "Canceled"})


async def test_channels_in_turn_are_waited_for_as_one() -> None:
    world, client = World(), Client(None)
    await world.submit(a_request(**in_turn("push", "sms")))

    await _waiter(client).start(world.notifications[0], timedelta(seconds=7))

    [(_, _, argument)] = client.started
    assert argument["channels"] == [WHOLE]


async def test_what_was_decided_against_at_accept_is_not_waited_for() -> None:
    world, client = World(), Client(None)
    await world.submit(a_request(channels=["email", "sms"], recipient=RECIPIENT, content=CONTENT))
    [notification] = world.notifications
    suppressed = replace(notification.deliveries["sms"], status=DeliveryStatus.SUPPRESSED)
    notification = replace(notification, deliveries={**notification.deliveries, "sms": suppressed})

    await _waiter(client).start(notification, timedelta(seconds=7))

    [(_, _, argument)] = client.started
    assert argument["channels"] == ["email"]


async def test_who_waits_for_the_whole_is_woken_when_alive() -> None:
    alive, gone = Client(Status(State.Running)), Client(None)

    await _waiter(alive).settle(ID)
    await _waiter(gone).settle(ID)

    assert alive.raised == [(waiter_id(ID), f"outcome-{WHOLE}", {})]
    assert gone.raised == []


async def test_that_nobody_can_be_woken_is_no_failure() -> None:
    await _waiter(Client(Exception("the Durable API is away"))).settle(ID)
