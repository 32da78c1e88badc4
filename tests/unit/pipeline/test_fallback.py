"""Channels in turn from submit to the end, with everything that goes on around the app."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.errors import InDoubt, Rejected, Transient
from shared.domain.fallback import LOOK_AGAIN, WATCHED_FOR
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import DeliveryStatus, roll_up
from shared.pipeline.changes import follow_changes
from shared.pipeline.fallback import concerned
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.recover import sweep
from shared.pipeline.services import DEAD_LETTERS, STATUS, SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from shared.ports import Accepted, ReceiptRequest
from tests.fakes.callback_consumer import an_endpoint
from tests.fakes.channels_in_turn import in_turn
from tests.fakes.clock import START
from tests.fakes.real_world import RealWorld, Woken
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body, a_request

S = DeliveryStatus
SILENT: dict[str, ReceiptKind] = {}


def _ends(world: World) -> dict[str, tuple[S, str | None]]:
    [notification] = world.notifications
    return {name: (each.status, each.reason) for name, each in notification.deliveries.items()}


def _sent(world: World) -> list[str]:
    """The channels of all provider calls, in order."""
    return [sent.channel for provider in world.providers.values() for sent in provider.ledger]


def _live(world: World, receipts: Any = ReceiptKind.DELIVERED, *, feed: bool = True, **request: Any) -> RealWorld:
    around = RealWorld(world, receipts, feed=feed)

    async def live() -> None:
        await world.submit(a_request(**request))
        await around.quiesce()

    run_virtually(live())
    return around


def test_when_the_first_is_delivered_the_second_is_never_sent() -> None:
    world = World()

    _live(world, **in_turn("push", "sms", deadline=60))

    assert _ends(world) == {"push": (S.DELIVERED, None), "sms": (S.SUPPRESSED, "not_needed")}
    assert _sent(world) == ["push"]


@pytest.mark.parametrize("feed", [True, False])
def test_when_the_first_is_refused_the_second_is_sent(feed: bool) -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")

    _live(world, feed=feed, **in_turn("push", "sms", deadline=60))

    assert _ends(world) == {"push": (S.FAILED, "no_such_device"), "sms": (S.DELIVERED, None)}
    assert sorted(_sent(world)) == ["push", "sms"]


def test_the_change_feed_lets_the_second_take_over_at_once() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")

    _live(world, SILENT, **in_turn("push", "sms"))

    [sms] = world.delivery("sms").attempts
    assert sms.claimed_at == START


def test_without_the_change_feed_the_sweeper_does_it_when_it_looks_again() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")

    _live(world, SILENT, feed=False, **in_turn("push", "sms"))

    [sms] = world.delivery("sms").attempts
    assert LOOK_AGAIN <= sms.claimed_at - START < LOOK_AGAIN + timedelta(seconds=5)


@pytest.mark.parametrize("kind", [ReceiptKind.BOUNCED, ReceiptKind.FAILED])
def test_when_the_first_comes_back_the_second_is_sent(kind: ReceiptKind) -> None:
    world = World()

    _live(world, {"email": kind, "sms": ReceiptKind.DELIVERED}, **in_turn("email", "sms", deadline=3600))

    assert _ends(world)["sms"] == (S.DELIVERED, None)


def test_three_channels_one_after_the_other() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")
    world.providers["sms"].otherwise = Transient("http_503")

    _live(world, **in_turn("push", "sms", "email"))

    assert {name: status for name, (status, _) in _ends(world).items()} == {
        "push": S.FAILED, "sms": S.FAILED, "email": S.DELIVERED,
    }  # fmt: skip


def test_one_that_is_not_confirmed_in_time_is_followed_by_the_next() -> None:
    world = World()

    _live(world, {"sms": ReceiptKind.DELIVERED}, **in_turn("push", "sms", deadline=60))

    assert _ends(world) == {"push": (S.SENT, None), "sms": (S.DELIVERED, None)}
    [sms] = world.delivery("sms").attempts
    assert timedelta(seconds=60) <= sms.claimed_at - START < timedelta(seconds=61)


def test_the_third_has_its_deadline_counted_from_the_second() -> None:
    world = World()

    _live(world, SILENT, **in_turn("push", "sms", "email", deadline=60))

    [email] = world.delivery("email").attempts
    assert timedelta(seconds=120) <= email.claimed_at - START < timedelta(seconds=122)


def test_without_a_deadline_and_without_receipts_the_second_stands_down_after_a_day() -> None:
    world = World()

    _live(world, SILENT, **in_turn("push", "sms"))

    assert _ends(world) == {"push": (S.SENT, None), "sms": (S.SUPPRESSED, "not_needed")}
    assert world.clock.now() - START >= WATCHED_FOR
    assert world.database.steps.names.count("patch") <= 5  # claim, outcome, look again, stand down


def test_a_late_delivered_brings_no_third_message_and_the_right_status() -> None:
    world = World()
    around = RealWorld(world, SILENT)

    async def scene() -> None:
        await world.submit(a_request(**in_turn("push", "sms", "email", deadline=60)))
        await around.live_for(timedelta(seconds=61))
        push = world.providers["push"]
        push.receipts = [Receipt(push.attempt_ids[0], ReceiptKind.DELIVERED, world.clock.now(), "ok")]
        await receive_receipts(push.name, ReceiptRequest("/", {}, {}, b""), world.services)
        await around.quiesce()

    run_virtually(scene())

    assert _ends(world) == {
        "push": (S.DELIVERED, None), "sms": (S.SENT, None), "email": (S.SUPPRESSED, "not_needed"),
    }  # fmt: skip
    assert sorted(_sent(world)) == ["push", "sms"]
    assert roll_up(each.status for each in world.notifications[0].deliveries.values()) == "delivered"


@pytest.mark.parametrize("category", ["security", "transactional"])
def test_in_doubt_the_next_waits_for_the_end_of_the_doubt_and_then_goes_instead(category: str) -> None:
    world = World()
    world.providers["push"].script = [InDoubt("timeout")]

    _live(world, {"sms": ReceiptKind.DELIVERED}, **in_turn("push", "sms", deadline=1, category=category))

    push, sms = world.delivery("push"), world.delivery("sms")
    assert _ends(world) == {"push": (S.FAILED, "deadline_passed"), "sms": (S.DELIVERED, None)}
    assert _sent(world) == ["sms", "push"]  # once each: what the next channel says is not sent again
    resolved = push.attempts[0].finished_at
    assert push.was_in_doubt
    assert resolved
    assert all(attempt.claimed_at >= resolved + world.patience.in_doubt for attempt in sms.attempts)


def test_in_doubt_and_never_resolved_an_advertisement_is_not_sent_again_elsewhere() -> None:
    world = World()
    world.providers["push"].script = [InDoubt("timeout")]

    _live(world, SILENT, **in_turn("push", "sms", deadline=1, category="marketing"))

    assert _ends(world) == {"push": (S.FAILED, "dropped_in_doubt"), "sms": (S.SUPPRESSED, "earlier_in_doubt")}
    assert _sent(world) == ["push"]


def test_a_channel_in_doubt_is_not_sent_again_once_another_is_confirmed() -> None:
    world = World()
    world.providers["sms"].otherwise = InDoubt("timeout")
    around = RealWorld(world, SILENT)

    async def scene() -> None:
        await world.submit(a_request(**in_turn("push", "sms", deadline=60)))
        await around.live_for(timedelta(seconds=61))
        push = world.providers["push"]
        push.receipts = [Receipt(push.attempt_ids[0], ReceiptKind.DELIVERED, world.clock.now(), "ok")]
        await receive_receipts(push.name, ReceiptRequest("/", {}, {}, b""), world.services)
        await around.quiesce()

    run_virtually(scene())

    assert _ends(world)["sms"] == (S.FAILED, "dropped_in_doubt")
    assert len(world.providers["sms"].ledger) == 1


def test_the_story_of_a_notification_says_who_took_over_and_why() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")

    _live(world, **in_turn("push", "sms"))

    told = [(entry.channel, entry.status, entry.reason) for entry in world.notifications[0].history]
    assert told == [
        ("push", S.FAILED, "no_such_device"),
        ("sms", S.QUEUED, "earlier_failed"),
        ("sms", S.SENT, None),
        ("sms", S.DELIVERED, None),
    ]


def test_an_exhausted_channel_is_no_dead_letter_while_another_stands_by() -> None:
    """Whoever replayed it would send what the next channel sends already."""
    world = World()
    world.providers["push"].otherwise = world.providers["sms"].otherwise = Transient("http_503")

    _live(world, **in_turn("push", "sms"))

    ids = [message.message_id for message in world.publisher.published[DEAD_LETTERS]]
    assert [each.split(".")[1] for each in ids] == ["sms"]


def test_consumers_are_called_about_channels_that_were_used_and_no_others() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")

    async def prepare() -> None:
        await world.endpoints.save(an_endpoint(TENANT, statuses=("SENT", "DELIVERED", "FAILED", "BOUNCED")))

    run_virtually(prepare())
    _live(world, **in_turn("push", "sms", "email"))

    fired = {message.body.decode() for message in world.publisher.published["callbacks"]}
    assert _ends(world)["email"] == (S.SUPPRESSED, "not_needed")
    assert {channel for channel in ("push", "sms", "email") if any(f'"{channel}"' in body for body in fired)} == {
        "push",
        "sms",
    }


async def test_what_takes_over_while_the_broker_is_away_is_left_for_the_sweeper() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")
    around = RealWorld(world, SILENT)
    await world.submit(a_request(**in_turn("push", "sms")))
    [message] = world.publisher.take(SUBMITTED)
    await around.redeliver(message)
    world.publisher.away = {SUBMITTED}

    await follow_changes(list(world.documents.values()), world.services, Woken())
    world.publisher.away = set()
    world.clock.advance(61)
    await sweep(world.services)

    assert world.delivery("sms").status is S.QUEUED
    assert len(world.publisher.take(SUBMITTED)) == 1


async def test_only_the_first_channel_travels_when_a_request_is_accepted() -> None:
    world = World()

    await world.submit(a_request(**in_turn("push", "sms", "email")))

    [message] = world.publisher.take(SUBMITTED)
    assert message.properties["channel"] == "push"


async def test_changes_of_notifications_without_channels_in_turn_are_not_even_decoded() -> None:
    world = World()
    await world.submit(a_request("key"))
    world.database.steps.names.clear()

    assert concerned(world.documents.values()) == []
    await follow_changes(list(world.documents.values()), world.services, Woken())

    assert world.database.steps.names == ["batch of create"]  # the entries in the index


async def test_a_document_nobody_can_read_does_not_hold_up_the_others() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")
    for _ in range(2):
        await world.submit(a_request(**in_turn("push", "sms")))
    documents = list(world.documents.values())
    documents[0]["deliveries"]["push"]["status"] = "from the future"

    assert len(concerned(documents)) == 1


async def test_a_notification_nobody_can_decide_about_does_not_hold_up_the_others() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")
    around = RealWorld(world, SILENT, feed=False)
    for _ in range(2):
        await world.submit(a_request(**in_turn("push", "sms")))
    for message in world.publisher.take(SUBMITTED):
        await around.redeliver(message)
    first, second = world.documents.values()
    first["fallback"]["order"] = ["push", "pigeon"]

    await follow_changes([first, second], world.services, Woken())

    [message] = world.publisher.take(SUBMITTED)
    assert second["id"].encode() in message.body


async def test_of_a_batch_only_the_first_channels_travel_together() -> None:
    world = World()
    body = {name: value for name, value in a_body(**in_turn("push", "sms")).items() if value is not None}

    await submit_batch(a_batch([body] * 3), CALLER, world.services)

    [message] = world.publisher.take(SUBMITTED)
    assert message.properties["channel"] == "push"
    assert len(NotificationSubmitted.model_validate_json(message.body).deliveries) == 3
    assert {one.deliveries["sms"].status for one in world.notifications} == {S.STANDBY}


async def test_whoever_waits_is_woken_when_the_notification_as_a_whole_is_settled() -> None:
    world = World()
    world.providers["push"].otherwise = Rejected("no_such_device")
    world.providers["sms"].otherwise = Accepted(delivered=True)
    around = RealWorld(world, SILENT)
    await world.submit(a_request(wait=5, **in_turn("push", "sms")))
    [message] = world.publisher.take(SUBMITTED)
    await around.redeliver(message)
    await follow_changes(list(world.documents.values()), world.services, around.waiters)
    before = list(around.waiters.settled)
    await around.quiesce()

    [notification] = world.notifications
    assert before == []
    assert set(around.waiters.settled) == {notification.tracking_id}
    assert world.publisher.take(STATUS) == []


def test_in_doubt_without_a_deadline_the_same_channel_is_sent_again() -> None:
    world = World()
    world.providers["push"].script = [InDoubt("timeout")]

    _live(world, {"push": ReceiptKind.DELIVERED}, **in_turn("push", "sms", category="security"))

    assert _ends(world) == {"push": (S.DELIVERED, None), "sms": (S.SUPPRESSED, "not_needed")}
    assert _sent(world) == ["push", "push"]


def test_the_largest_step_fits_one_patch_of_the_store() -> None:
    """One channel takes over, the one before is withdrawn, the one behind gets a deadline; the fake store counts."""
    world = World()
    world.providers["push"].otherwise = Transient("http_503")

    _live(world, {"sms": ReceiptKind.DELIVERED}, **in_turn("push", "sms", "email", deadline=5))

    assert _ends(world) == {
        "push": (S.SUPPRESSED, "deadline_passed"),
        "sms": (S.DELIVERED, None),
        "email": (S.SUPPRESSED, "not_needed"),
    }
