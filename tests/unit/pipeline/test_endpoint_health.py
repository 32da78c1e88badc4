"""Endpoints that fail get rests and one probe after each; those that do nothing but fail for days are disabled."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from shared.contracts.callback_payload import CallbackBatch
from shared.domain.callback_endpoint import DISABLED_AFTER, FAILURES_IN_A_ROW, FIRST_REST, LONGEST_REST, EndpointHealth
from shared.pipeline.callbacks import fire_callbacks, send_callbacks
from shared.pipeline.services import CALLBACKS
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.callback_consumer import an_endpoint, marks_of
from tests.fakes.clock import START
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body

BAD, GOOD = "https://consumer.example/bad", "https://consumer.example/good"


class Town:
    """One endpoint that fails, maybe one that is well, and the queue between; time jumps from message to message."""

    def __init__(self) -> None:
        self.world = World()
        self.heard: list[tuple[str, datetime]] = []
        self.waiting: list[tuple[datetime, int, CallbackBatch]] = []
        self.taken = 0

    async def open(self, *endpoint_ids: str) -> None:
        for endpoint_id in endpoint_ids:
            await self.world.endpoints.save(an_endpoint(TENANT, endpoint_id, ("SENT",)))
        self.world.callback_client.answers[BAD] = 500

    async def send(self, count: int) -> None:
        await submit_batch(a_batch([a_body() for _ in range(count)]), CALLER, self.world.services)
        for document in self.world.documents.values():
            entry = {"at": "2026-11-24T12:00:00.000Z", "channel": "email", "status": "sent", "attempt": 1}
            document["history"] = [entry]
        await fire_callbacks(self.world.notifications, self.world.services)

    async def run_until(self, end: datetime) -> None:
        """Everything that is due before ``end`` is done, in order of time."""
        clock = self.world.clock
        while True:
            for message in self.world.publisher.take(CALLBACKS):
                self.taken += 1
                due_at = message.due_at or clock.now()
                self.waiting.append((due_at, self.taken, CallbackBatch.model_validate_json(message.body)))
            self.waiting.sort(key=lambda each: each[:2])
            if not self.waiting or self.waiting[0][0] > end:
                clock.advance_to(max(end, clock.now()))
                return
            due_at, _, batch = self.waiting.pop(0)
            clock.advance_to(max(due_at, clock.now()))
            before = len(self.world.callback_client.calls)
            await send_callbacks(batch, self.world.services)
            self.heard += [(call.url, clock.now()) for call in self.world.callback_client.calls[before:]]

    def posts_to(self, url: str) -> list[datetime]:
        return [at for each, at in self.heard if each == url]

    async def endpoint(self, endpoint_id: str = "bad"):
        return await self.world.endpoints.read(TENANT, endpoint_id)


async def test_after_some_failures_in_a_row_the_rest_waits_for_a_probe_and_burns_no_try() -> None:
    town = Town()
    await town.open("bad")
    await town.send(40)

    await town.run_until(START)

    states = Counter(marks_of(each)["email-SENT-bad"] for each in town.world.notifications)
    tried = states["retrying:http_500"]
    assert FAILURES_IN_A_ROW <= tried <= FAILURES_IN_A_ROW + 10  # those under way at once
    assert states["waiting"] == 40 - tried
    assert (await town.endpoint()).health.rests_until == START + FIRST_REST
    assert {each.callbacks["email-SENT-bad"].attempt for each in town.world.notifications} == {0, 1}


async def test_rests_get_longer_up_to_a_bound_with_one_probe_after_each() -> None:
    town = Town()
    await town.open("bad")
    await town.send(200)

    await town.run_until(START + timedelta(hours=2))

    probes = [at - START for at in town.posts_to(BAD) if at > START]
    minutes = [round(each.total_seconds() / 60) for each in probes[:7]]
    assert minutes == [1, 3, 7, 15, 30, 45, 60]
    assert len(probes) == len(set(probes))  # never two at once
    assert max(b - a for a, b in pairwise(probes)) == LONGEST_REST


async def test_once_a_probe_gets_through_everything_arrives_soon_and_nothing_is_held_against_it() -> None:
    town = Town()
    await town.open("bad")
    await town.send(120)
    await town.run_until(START + timedelta(minutes=20))
    town.world.callback_client.answers[BAD] = 204

    await town.run_until(START + timedelta(minutes=36))

    states = Counter(marks_of(each)["email-SENT-bad"] for each in town.world.notifications)
    assert states["delivered"] == 120
    assert (await town.endpoint()).health == EndpointHealth()
    deliveries = Counter(call.headers["webhook-id"] for call in town.world.callback_client.calls[-120:])
    assert set(deliveries.values()) == {1}


async def test_an_endpoint_that_is_well_hears_everything_at_once_beside_one_that_is_not() -> None:
    town = Town()
    await town.open("bad", "good")
    await town.send(100)

    await town.run_until(START)

    assert town.posts_to(GOOD) == [START] * 100


async def test_health_costs_an_endpoint_that_is_well_no_write() -> None:
    town = Town()
    await town.open("good")
    before = town.world.endpoints.writes

    await town.send(100)
    await town.run_until(START)

    assert town.world.endpoints.writes == before


async def test_an_endpoint_dead_for_five_days_is_disabled_the_others_are_told_and_the_audit_trail_knows() -> None:
    town = Town()
    await town.open("bad", "good")
    await town.send(30)

    await town.run_until(START + DISABLED_AFTER - timedelta(hours=1))
    assert (await town.endpoint()).enabled
    await town.send(5)
    await town.run_until(START + DISABLED_AFTER + timedelta(hours=1))

    endpoint = await town.endpoint()
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, "failing")
    told = [call for call in town.world.callback_client.calls if b"callback-endpoint.disabled" in call.body]
    assert [(call.url, json.loads(call.body)["data"]) for call in told] == [
        (
            GOOD,
            {"endpointId": "bad", "reason": "failing", "failingSince": "2026-11-24T12:00:00.000Z"},
        )
    ]
    audited = town.world.database.container("audit-logs").documents.values()
    assert [each["subject"] for each in audited if each.get("action") == "callback_endpoint.disable"] == ["bad"]


async def test_what_waited_when_it_was_disabled_is_marked_so_that_a_replay_finds_it() -> None:
    town = Town()
    await town.open("bad")
    await town.send(200)

    await town.run_until(START + DISABLED_AFTER + timedelta(days=2))

    states = {marks_of(each)["email-SENT-bad"] for each in town.world.notifications}
    assert states == {"failed:endpoint_disabled"} | (states & {"failed:http_500"})
    assert town.waiting == []


async def test_five_days_count_from_the_last_success() -> None:
    town = Town()
    await town.open("bad")
    await town.send(30)
    await town.run_until(START + timedelta(days=4))
    town.world.callback_client.answers[BAD] = 204
    await town.send(1)
    await town.run_until(START + timedelta(days=4, hours=1))
    town.world.callback_client.answers[BAD] = 500
    await town.send(30)

    await town.run_until(START + timedelta(days=8))

    assert (await town.endpoint()).enabled


async def test_two_failures_far_apart_with_nothing_between_are_no_five_days_of_failure() -> None:
    town = Town()
    await town.open("bad")
    health = EndpointHealth(failing_since=START - timedelta(days=9), failed_at=START - timedelta(days=8))
    await town.world.endpoints.save(replace(await town.endpoint(), health=health))

    await town.send(1)
    await town.run_until(START)

    endpoint = await town.endpoint()
    assert endpoint.enabled
    assert endpoint.health.failing_since == START


async def test_one_of_many_processes_probes() -> None:
    town = Town()
    await town.open("bad")
    await town.send(8)
    health = EndpointHealth(START, START, rests_until=START, rests=1)
    await town.world.endpoints.save(replace(await town.endpoint(), health=health))
    [message] = town.world.publisher.take(CALLBACKS)
    batch = CallbackBatch.model_validate_json(message.body)

    for _ in range(5):
        await send_callbacks(batch, town.world.fresh_process())

    assert len(town.world.callback_client.calls) == 1


async def test_a_probe_whose_process_died_is_followed_by_another() -> None:
    probed = EndpointHealth(START, START, rests_until=START, rests=1).while_probed(START)

    assert probed is not None
    assert probed.while_probed(START + timedelta(seconds=44)) is None
    assert probed.while_probed(START + timedelta(seconds=45)) is not None


@pytest.mark.parametrize("rests", [1, 4, 9, 500])
def test_a_rest_is_never_longer_than_the_longest(rests: int) -> None:
    health = EndpointHealth(START, START, rests=rests).after_failure(START, rests=True)

    assert health.rests_until == START + min(FIRST_REST * 2 ** min(rests, 9), LONGEST_REST)
