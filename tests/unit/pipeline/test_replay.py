"""Dead letters go back to work: each once, at a rate, and whatever is learnt late."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest

from shared.contracts.callback_payload import CallbackBatch
from shared.contracts.events import NotificationStatus, NotificationSubmitted, StatusItem
from shared.domain.dead_letter import BUS
from shared.domain.errors import InvalidSubmission, KeyReused, NotFound, Rejected, StoreUnavailable, Transient
from shared.domain.identifiers import TenantId
from shared.domain.outcome import StatusChange
from shared.domain.replay import Skip
from shared.domain.status import DeliveryStatus
from shared.pipeline.cancel import cancel_notification
from shared.pipeline.dead_letter_filing import Undelivered, file_undelivered
from shared.pipeline.recover import sweep
from shared.pipeline.replay_steps import make_step
from shared.pipeline.replays import carry_on, list_replays, read_replay, steer_replay
from shared.pipeline.services import CALLBACKS, DEAD_LETTERS, STATUS, SUBMITTED
from shared.ports import Caller
from tests.fakes.clock import START
from tests.fakes.dead_world import OPERATOR, REPLAYER, DeadWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, World, a_request

STRANGER = Caller(TenantId("another"), "another", frozenset({"DeadLetters.Replay"}))


def _virtually(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run_virtually(scenario())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test


@_virtually
async def test_what_died_goes_back_to_work_under_the_next_number_and_is_delivered() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()
    before = dead.world.delivery().attempt

    ordered = await dead.order()
    await dead.carry_out(ordered.id)
    await dead.settle()

    told = await read_replay(ordered.id, REPLAYER, dead.world.services)
    delivery = dead.world.delivery()
    assert (told.state, told.selected, told.replayed, told.skipped, told.failed) == ("completed", 1, 1, {}, 0)
    assert (delivery.status, delivery.attempt) == (DeliveryStatus.SENT, before + 1)
    assert [(entry.status.value, entry.reason) for entry in dead.world.notifications[0].history][-3:] == [
        ("failed", "attempts_exhausted"), ("retrying", "replayed"), ("sent", None),
    ]  # fmt: skip
    [filed] = await dead.letters()
    assert filed.id == letter.id
    assert filed.replay is not None
    assert filed.replay.replay_id == ordered.id
    dead.check_no_attempt_twice()


@_virtually
async def test_attempts_burned_before_do_not_count_against_the_fresh_ones() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()
    allowed = dead.world.delivery().attempt
    dead.world.email.otherwise = Transient("still_away")

    await dead.carry_out((await dead.order()).id)
    await dead.settle()

    [first, second] = await dead.letters()
    assert dead.world.delivery().attempt == 2 * allowed
    assert (first.id, second.id.rpartition(".")[2]) == (letter.id, str(2 * allowed))
    assert (first.replay is None, second.replay is None) == (False, True)


@_virtually
async def test_what_died_again_can_be_replayed_again() -> None:
    dead = DeadWorld()
    await dead.die()
    dead.world.email.otherwise = Transient("still_away")
    await dead.carry_out((await dead.order()).id)
    await dead.settle()
    dead.world.email.otherwise = World().email.otherwise

    again = await dead.order()
    await dead.carry_out(again.id)
    await dead.settle()

    assert (again.selected, dead.statuses) == (1, {"sent": 1})
    dead.check_no_attempt_twice()


@_virtually
async def test_replayed_twice_is_replayed_once() -> None:
    dead = DeadWorld()
    letters = await dead.die(6)
    first, second = await dead.order(), await dead.order(ids=[letter.id for letter in letters])

    await dead.carry_out(first.id, second.id)
    await dead.settle()

    told = [await read_replay(each.id, REPLAYER, dead.world.services) for each in (first, second)]
    assert sum(each.replayed for each in told) == 6
    assert sum(each.skipped.get(Skip.ALREADY_REPLAYED, 0) for each in told) == 6
    assert dead.statuses == {"sent": 6}
    dead.check_no_attempt_twice()


@_virtually
async def test_a_letter_named_twice_is_one() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()

    ordered = await dead.order(ids=[letter.id, letter.id])

    assert ordered.selected == 1


@_virtually
async def test_letters_are_released_evenly_below_the_rate() -> None:
    dead = DeadWorld()
    await dead.die(40)
    ordered = await dead.order(filter={"tag": "exhausted"}, ratePerSecond=10)
    started = dead.world.clock.now()
    publisher = dead.world.publisher
    while (told := await make_step(ordered.id, dead.world.services)).state.value == "running":
        assert len(publisher.published[SUBMITTED]) <= 2 + 10 * (told.next_at - started).total_seconds()
        assert (await make_step(ordered.id, dead.world.services)).next_at == told.next_at
        dead.world.clock.advance_to(told.next_at)

    seconds = (dead.world.clock.now() - started).total_seconds()
    assert 40 / 10 < seconds < 5


async def _release_times(dead: DeadWorld, rate: float) -> list[float]:
    times: list[float] = []
    original = dead.world.publisher.publish

    async def publish(entity: str, messages: Any) -> None:
        times.append(asyncio.get_running_loop().time())
        await original(entity, messages)

    dead.world.publisher.publish = publish  # type: ignore[method-assign]
    ordered = await dead.order(filter={"tag": "exhausted"}, ratePerSecond=rate)
    await dead.carry_out(ordered.id)
    return times


@_virtually
async def test_within_a_step_letters_follow_each_other_at_equal_distances() -> None:
    dead = DeadWorld()
    await dead.die(8)

    times = await _release_times(dead, 4)

    gaps = {round(later - earlier, 3) for earlier, later in pairwise(times[:8])}
    assert gaps == {round(1 / (4 * 0.9), 3)}


@_virtually
async def test_letters_are_selected_by_what_they_are_and_only_while_open() -> None:
    dead = DeadWorld()
    await dead.die(2)
    dead.world.clock.advance(timedelta(hours=30))
    await dead.die(1, template={"id": "order-confirmation"}, content=None, data={"orderId": "A", "orderTotal": "1"})
    since = (dead.world.clock.now() - timedelta(hours=5)).isoformat()

    counts = {
        name: (await dead.order(filter=each)).selected
        for name, each in {
            "tag": {"tag": "exhausted"},
            "other tag": {"tag": "poison"},
            "channel": {"channel": "sms"},
            "template": {"template": "order-confirmation"},
            "time": {"from": since},
        }.items()
    }

    assert counts == {"tag": 3, "other tag": 0, "channel": 0, "template": 1, "time": 1}


@_virtually
async def test_letters_of_many_days_are_all_replayed() -> None:
    dead = DeadWorld()
    for _ in range(3):
        await dead.die(2)
        dead.world.clock.advance(timedelta(days=3))

    ordered = await dead.order(filter={"tag": "exhausted"})
    await dead.carry_out(ordered.id)
    await dead.settle()

    assert (ordered.selected, dead.statuses) == (6, {"sent": 6})


@_virtually
async def test_what_dies_again_while_it_is_replayed_is_not_replayed_for_ever() -> None:
    dead = DeadWorld()
    await dead.die(3)
    dead.world.email.otherwise = Transient("still_away")
    ordered = await dead.order()

    await dead.carry_out(ordered.id)
    await dead.settle()
    dead.world.clock.advance(60)
    await dead.carry_out(ordered.id)

    assert (await read_replay(ordered.id, REPLAYER, dead.world.services)).replayed == 3


@_virtually
async def test_a_delivery_that_arrived_meanwhile_is_skipped() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()
    await _report(dead, DeliveryStatus.DELIVERED, 1)

    ordered = await dead.order(ids=[letter.id])
    await dead.carry_out(ordered.id)
    await dead.settle()

    told = await read_replay(ordered.id, REPLAYER, dead.world.services)
    assert (told.replayed, told.skipped) == (0, {"moved_on": 1})
    assert dead.statuses == {"delivered": 1}


async def _report(dead: DeadWorld, status: DeliveryStatus, attempt: int) -> None:
    """What a provider says late about an attempt."""
    [notification] = dead.world.notifications
    change = StatusChange(notification.tracking_id, "email", status, attempt, dead.world.clock.now(), "fake-email")
    await dead.world.services.notifications.record_changes(notification.partition_key, [change])


LATE = [
    (DeliveryStatus.FAILED, 1), (DeliveryStatus.BOUNCED, 2), (DeliveryStatus.FAILED, 0), (DeliveryStatus.BOUNCED, 0),
]  # fmt: skip


@pytest.mark.parametrize("reports", list(permutations(LATE)))
@pytest.mark.parametrize("at", ["before the claim", "after the send"])
def test_bad_news_about_earlier_attempts_stops_no_replay_in_any_order(
    reports: tuple[tuple[DeliveryStatus, int], ...], at: str
) -> None:
    """Attempt 0 stands for the one the delivery died of."""

    async def scenario() -> None:
        dead = DeadWorld()
        await dead.die()
        died_of = dead.world.delivery().attempt
        await dead.carry_out((await dead.order()).id)
        if at == "after the send":
            await dead.settle()
        for status, attempt in reports:
            await _report(dead, status, attempt or died_of)
        await dead.settle()

        assert dead.statuses == {"sent": 1}
        assert dead.world.delivery().attempt == died_of + 1

    run_virtually(scenario())


GOOD = [(DeliveryStatus.SENT, 1), (DeliveryStatus.DELIVERED, 2), (DeliveryStatus.FAILED, 0)]


@pytest.mark.parametrize("reports", list(permutations(GOOD)))
def test_good_news_about_an_earlier_attempt_ends_the_replay_without_a_call(
    reports: tuple[tuple[DeliveryStatus, int], ...],
) -> None:
    async def scenario() -> None:
        dead = DeadWorld()
        await dead.die()
        died_of = dead.world.delivery().attempt
        calls = len(dead.world.email.ledger)
        await dead.carry_out((await dead.order()).id)
        for status, attempt in reports:
            await _report(dead, status, attempt or died_of)
        await dead.settle()

        assert dead.statuses == {"delivered": 1}
        assert len(dead.world.email.ledger) == calls

    run_virtually(scenario())


@_virtually
async def test_a_cancelled_notification_is_skipped() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()
    await cancel_notification(dead.world.notifications[0].tracking_id, CALLER, dead.world.services)

    ordered = await dead.order(ids=[letter.id])
    await dead.carry_out(ordered.id)

    assert (await read_replay(ordered.id, REPLAYER, dead.world.services)).skipped == {"cancelled": 1}


async def _expired(ignore_expiry: bool) -> tuple[DeadWorld, dict[str, int]]:
    dead = DeadWorld()
    await dead.die(expiresAt=(START + timedelta(hours=1)).isoformat())
    dead.world.clock.advance(timedelta(hours=2))
    ordered = await dead.order(filter={"tag": "exhausted"}, ignoreExpiry=ignore_expiry)
    await dead.carry_out(ordered.id)
    await dead.settle()
    return dead, (await read_replay(ordered.id, REPLAYER, dead.world.services)).skipped


@_virtually
async def test_what_has_expired_is_not_replayed_unless_asked() -> None:
    dead, skipped = await _expired(ignore_expiry=False)

    assert (skipped, dead.statuses) == ({"expired": 1}, {"failed": 1})


@_virtually
async def test_what_has_expired_is_replayed_when_asked_and_has_a_day_more() -> None:
    dead, skipped = await _expired(ignore_expiry=True)

    assert (skipped, dead.statuses) == ({}, {"sent": 1})
    expires_at = dead.world.notifications[0].expires_at
    assert expires_at is not None
    assert timedelta(hours=23) < expires_at - dead.world.clock.now() <= timedelta(hours=24)


@_virtually
async def test_a_delivery_that_expired_is_a_letter_and_replayed_when_asked() -> None:
    dead = DeadWorld()
    await dead.world.submit(a_request(expiresAt=(START + timedelta(minutes=1)).isoformat()))
    dead.world.clock.advance(timedelta(minutes=2))
    await dead.settle()
    assert dead.statuses == {"expired": 1}

    await dead.carry_out((await dead.order(filter={"tag": "expired"})).id)
    assert dead.statuses == {"expired": 1}
    await dead.carry_out((await dead.order(filter={"tag": "expired"}, ignoreExpiry=True)).id)
    await dead.settle()

    assert dead.statuses == {"sent": 1}


@_virtually
async def test_a_notification_that_another_channel_delivered_is_skipped() -> None:
    dead = DeadWorld()
    dead.world.providers["sms"].otherwise = Transient("away")
    fallback = {"strategy": "fallback", "order": ["email", "sms"]}
    recipient = {"customerId": "c", "email": "ada@example.com", "phone": "+4915112345678"}
    content = {"email": {"subject": "s", "text": "t"}, "sms": {"text": "t"}}
    letters = await dead.die(channels=None, routing=fallback, recipient=recipient, content=content)
    [notification] = dead.world.notifications
    assert [letter.id.split(".")[2] for letter in letters] == ["sms"]
    change = StatusChange(notification.tracking_id, "email", DeliveryStatus.DELIVERED, 1, dead.world.clock.now(), "e")
    await dead.world.services.notifications.record_changes(notification.partition_key, [change])

    ordered = await dead.order(ids=[letters[0].id])
    await dead.carry_out(ordered.id)

    assert (await read_replay(ordered.id, REPLAYER, dead.world.services)).skipped == {"reached_elsewhere": 1}


@_virtually
async def test_what_is_not_stored_any_more_is_gone() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()
    dead.world.documents.clear()

    ordered = await dead.order(ids=[letter.id, "20261124.01M86PTPG0FM4ZR32P5GKMSV2T.email.4"])
    await dead.carry_out(ordered.id)

    assert (await read_replay(ordered.id, REPLAYER, dead.world.services)).skipped == {"gone": 2}


@_virtually
async def test_a_delivery_whose_message_was_lost_is_published_by_the_sweeper() -> None:
    dead = DeadWorld()
    await dead.die()
    await dead.carry_out((await dead.order()).id)
    dead.world.publisher.take(SUBMITTED)

    dead.world.clock.advance(61)
    await sweep(dead.world.services)
    await dead.settle()

    assert dead.statuses == {"sent": 1}
    dead.check_no_attempt_twice()


@_virtually
async def test_while_broker_or_store_is_away_a_replay_waits_and_then_goes_on() -> None:
    dead = DeadWorld()
    await dead.die(3)
    ordered = await dead.order()
    dead.world.publisher.away = {SUBMITTED}
    told = await make_step(ordered.id, dead.world.services)
    dead.world.publisher.away = set()
    dead.world.clock.advance_to(told.next_at)
    dead.world.database.away = True
    told = await make_step(ordered.id, dead.world.services)
    dead.world.database.away = False

    assert (told.state.value, told.next_at > dead.world.clock.now()) == ("running", True)
    dead.world.clock.advance_to(told.next_at)
    await dead.carry_out(ordered.id)
    await dead.settle()

    assert (await read_replay(ordered.id, REPLAYER, dead.world.services)).replayed == 3
    assert dead.statuses == {"sent": 3}


@_virtually
async def test_a_replay_can_be_paused_resumed_and_cancelled() -> None:
    dead = DeadWorld()
    await dead.die(10)
    ordered = await dead.order(filter={"tag": "exhausted"}, ratePerSecond=1)
    services, begun = dead.world.services, dead.orchestrations

    async def steer(action: str) -> str:
        return (await steer_replay(ordered.id, action, REPLAYER, begun, services)).state

    told = await make_step(ordered.id, services)
    assert await steer("pause") == "paused"
    dead.world.clock.advance_to(told.next_at)
    assert (await make_step(ordered.id, services)).state.value == "paused"
    assert await steer("resume") == "running"
    assert begun.begun == [ordered.id] * 2
    told = await make_step(ordered.id, services)
    assert await steer("cancel") == "cancelled"
    assert await steer("resume") == "cancelled"
    assert (await make_step(ordered.id, services)).state.value == "cancelled"
    await dead.settle()

    replayed = (await read_replay(ordered.id, REPLAYER, services)).replayed
    assert 0 < replayed < 10
    assert dead.statuses == {"sent": replayed, "failed": 10 - replayed}


@_virtually
async def test_what_is_paused_in_the_middle_of_a_step_stays_paused_with_what_was_done() -> None:
    dead = DeadWorld()
    await dead.die(2)
    ordered = await dead.order(filter={"tag": "exhausted"}, ratePerSecond=2)
    publish = dead.world.publisher.publish

    async def publish_and_pause(entity: str, messages: Any) -> None:
        await publish(entity, messages)
        await steer_replay(ordered.id, "pause", REPLAYER, dead.orchestrations, dead.world.services)

    dead.world.publisher.publish = publish_and_pause  # type: ignore[method-assign]
    told = await make_step(ordered.id, dead.world.services)

    assert told.state.value == "paused"
    assert (await read_replay(ordered.id, REPLAYER, dead.world.services)).replayed == 2


@_virtually
async def test_a_repeat_under_the_same_key_is_the_same_replay() -> None:
    dead = DeadWorld()
    await dead.die()
    first, second = await dead.order(key="k"), await dead.order(key="k")

    assert first == second
    with pytest.raises(KeyReused):
        await dead.order(key="k", filter={"tag": "poison"})
    assert (await dead.order(key="k2")).id != first.id


@_virtually
async def test_who_ordered_what_is_in_the_audit_trail_before_anything_happens() -> None:
    dead = DeadWorld()
    await dead.die(2)
    ordered = await dead.order(key="k")
    await dead.order(key="k")
    await steer_replay(ordered.id, "pause", REPLAYER, dead.orchestrations, dead.world.services)
    [partition] = await dead.world.services.audit.newest(TENANT)

    entries = await dead.world.services.audit.entries(partition, 2**53, 10)

    assert [(each.fact.action, each.fact.actor, each.fact.subject) for each in entries] == [
        ("dead_letters.pause_replay", "replayer", ordered.id), ("dead_letters.replay", "replayer", ordered.id),
    ]  # fmt: skip
    assert entries[-1].fact.detail["selected"] == 2


@_virtually
async def test_nothing_is_ordered_when_it_can_not_be_recorded() -> None:
    dead = DeadWorld()
    await dead.die()
    dead.world.database.away = True

    with pytest.raises(StoreUnavailable):
        await dead.order()

    dead.world.database.away = False
    assert (await list_replays(REPLAYER, dead.world.services)).replays == []


@_virtually
async def test_a_replay_that_nobody_carries_out_is_begun_again() -> None:
    dead = DeadWorld()
    await dead.die()
    ordered = await dead.order()
    begun = dead.orchestrations.begun

    await carry_on(dead.orchestrations, dead.world.services)
    assert begun == [ordered.id]
    dead.world.clock.advance(timedelta(minutes=3))
    await carry_on(dead.orchestrations, dead.world.services)
    assert begun == [ordered.id] * 2
    await dead.carry_out(ordered.id)
    dead.world.clock.advance(timedelta(minutes=3))
    await carry_on(dead.orchestrations, dead.world.services)
    assert begun == [ordered.id] * 2


@_virtually
async def test_a_replay_is_ordered_also_when_orchestrations_are_away() -> None:
    dead = DeadWorld()
    await dead.die()

    async def fails(name: str, instance_id: str, argument: dict[str, object]) -> bool:
        raise RuntimeError("away")

    dead.orchestrations.start = fails  # type: ignore[method-assign]

    assert (await dead.order()).state == "running"


@_virtually
async def test_a_tenant_replays_its_own_letters_and_sees_its_own_replays() -> None:
    dead = DeadWorld()
    [letter] = await dead.die()
    ordered = await dead.order()
    services = dead.world.services

    assert (await dead.order(caller=STRANGER)).selected == 0
    stranger = await dead.order(caller=STRANGER, ids=[letter.id])
    await dead.carry_out(stranger.id)
    assert (await read_replay(stranger.id, STRANGER, services)).skipped == {"gone": 1}
    for tenant in (TENANT, "*", BUS):
        with pytest.raises(NotFound):
            await dead.order(caller=STRANGER, filter={"tag": "exhausted"}, tenant=tenant)
    for work in (read_replay(ordered.id, STRANGER, services),):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(NotFound):
        await steer_replay(ordered.id, "cancel", STRANGER, dead.orchestrations, services)
    assert len((await list_replays(STRANGER, services)).replays) == 2
    assert dead.statuses == {"failed": 1}


@_virtually
async def test_an_operator_replays_for_one_tenant_or_for_all() -> None:
    dead = DeadWorld()
    await dead.die(2)
    operator = Caller(TenantId("ops"), "ops", OPERATOR.roles)

    assert (await dead.order(caller=operator)).selected == 0
    assert (await dead.order(caller=operator, filter={"tag": "exhausted"}, tenant=TENANT)).selected == 2
    everything = await dead.order(caller=operator, filter={"tag": "exhausted"}, tenant="*")
    await dead.carry_out(everything.id)
    await dead.settle()

    assert (everything.selected, dead.statuses) == (2, {"sent": 2})
    assert len((await list_replays(operator, dead.world.services)).replays) == 3


BODIES = {
    SUBMITTED: NotificationSubmitted(
        tenant_id=TENANT, occurred_at=START, partition_key="shop:beef", channel="email", priority="normal",
        deliveries=[{"tracking_id": "01M86PTPG0FM4ZR32P5GKMSV2T"}],
    ),
    STATUS: NotificationStatus(
        tenant_id=TENANT, occurred_at=START, partition_key="shop:beef", channel="email", recorded=False,
        items=[StatusItem(tracking_id="01M86PTPG0FM4ZR32P5GKMSV2T", status="sent", attempt=1, timestamp=START)],
    ),
    CALLBACKS: CallbackBatch(tenant_id=TENANT, partition_key="shop:beef", endpoint_id="ep", items=[
        {"tracking_id": "01M86PTPG0FM4ZR32P5GKMSV2T", "channel": "email", "status": "SENT", "at": START},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("entity", BODIES)
def test_a_message_that_was_kept_goes_back_where_it_came_from_once(entity: str) -> None:
    async def scenario() -> None:
        dead = DeadWorld()
        body = BODIES[entity].model_dump_json(by_alias=True, exclude_none=True).encode()
        source = entity if entity == CALLBACKS else f"{entity}/Subscriptions/some"
        await file_undelivered(Undelivered(source, "MaxDeliveryCountExceeded", body, START), dead.world.services)
        dead.world.clock.advance(1)
        order = {"filter": {"tag": "unprocessed"}, "tenant": BUS}

        for _ in range(2):
            await dead.carry_out((await dead.order(caller=OPERATOR, **order)).id)

        [message] = dead.world.publisher.take(entity)
        sent, kept = json.loads(message.body), json.loads(body)
        assert {name: sent[name] for name in kept if name not in {"occurredAt", "wantedAt", "isHeld"}} == {
            name: each for name, each in kept.items() if name not in {"occurredAt", "wantedAt", "isHeld"}
        }

    run_virtually(scenario())


@_virtually
async def test_a_message_that_was_not_kept_stays_where_it_is() -> None:
    dead = DeadWorld()
    await file_undelivered(Undelivered("callbacks", "x", b"junk", START), dead.world.services)
    dead.world.clock.advance(1)

    ordered = await dead.order(caller=OPERATOR, filter={"tag": "poison"}, tenant=BUS)
    await dead.carry_out(ordered.id)

    assert (await read_replay(ordered.id, OPERATOR, dead.world.services)).skipped == {"not_kept": 1}


@_virtually
async def test_a_rejection_of_the_message_is_replayed_after_the_template_was_mended() -> None:
    dead = DeadWorld()
    dead.world.email.otherwise = Rejected("invalid_content")
    await dead.world.submit()
    await dead.settle()
    dead.world.email.otherwise = World().email.otherwise

    await dead.carry_out((await dead.order(filter={"tag": "rejected"})).id)
    await dead.settle()

    assert dead.statuses == {"sent": 1}
    assert dead.world.publisher.take(DEAD_LETTERS) == []


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({"ids": [], "ratePerSecond": 1}, "/ids"),
        ({"ids": ["x"]}, "/ids/0"),
        ({"ids": ["20261124.a.b.1"] * 501}, "/ids"),
        ({"ids": ["20261124.a.b.1"], "filter": {"tag": "poison"}}, ""),
        ({"ids": ["20261124.a.b.1"], "tenant": "*"}, ""),
        ({"ratePerSecond": 1}, ""),
        ({"filter": {}}, "/filter"),
        ({"filter": {"tag": "sad"}}, "/filter/tag"),
        ({"filter": {"tag": "poison"}, "ratePerSecond": 51}, "/ratePerSecond"),
        ({"filter": {"tag": "poison"}, "ratePerSecond": 0.05}, "/ratePerSecond"),
        ({"filter": {"tag": "poison"}, "ratePerSecond": "5"}, "/ratePerSecond"),
        ({"filter": {"tag": "poison"}, "ignoreExpiry": "yes"}, "/ignoreExpiry"),
        ({"filter": {"tag": "poison"}, "speed": 1}, "/speed"),
    ],
)
async def test_an_order_that_can_not_be_meant_is_refused(order: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidSubmission) as refused:
        await DeadWorld().order(**order)

    assert [error.pointer for error in refused.value.errors] == [pointer]
