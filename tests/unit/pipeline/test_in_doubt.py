import asyncio
from datetime import timedelta

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.address import EmailAddress
from shared.domain.errors import InDoubt, Transient
from shared.domain.look_up import AttemptInDoubt, Finding, GivenUp, NotTaken, Taken, Unknown
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.in_doubt import LOOK_UP_TIME, LOOK_UPS_AT_ONCE, find_in_doubt
from shared.pipeline.recover import sweep
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.fake_provider import FakeReceiptSource
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, CALLER, World, a_batch, a_body, a_request


class Asked(FakeReceiptSource):
    """A provider that can be asked about attempts."""

    def __init__(self, *answers: Finding | Exception, name: str = "fake-email", takes: float = 0) -> None:
        super().__init__("email", name)
        self.answers = list(answers)
        self.asked: list[AttemptInDoubt] = []
        self.takes = takes
        self.at_once = self.most_at_once = 0

    async def find_attempt(self, attempt: AttemptInDoubt) -> Finding:
        self.asked.append(attempt)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.at_once -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def _in_doubt(world: World, *providers: FakeReceiptSource, **fields: object) -> None:
    world.with_(providers={**world.services.providers, "email": providers})
    providers[0].script = [InDoubt("no_answer")]
    await world.submit(a_request(**fields))
    [message] = world.publisher.take(SUBMITTED)
    await deliver(NotificationSubmitted.model_validate_json(message.body).to_chunk(), world.services)
    assert world.delivery().status is DeliveryStatus.IN_DOUBT


async def _sweep_after(world: World, wait: timedelta) -> int:
    world.clock.advance(wait + timedelta(milliseconds=1))
    return await sweep(world.services)


async def _claimed_by_the_dead(world: World, *providers: FakeReceiptSource) -> None:
    world.with_(providers={**world.services.providers, "email": providers})
    await world.submit()
    [message] = world.publisher.take(SUBMITTED)
    chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
    wake_at = world.clock.now() + world.patience.claim
    await world.services.notifications.claim(
        chunk.partition_key, "email", chunk.items, claim_id="dead", wake_at=wake_at
    )
    await _sweep_after(world, world.patience.claim)


@pytest.mark.parametrize("category", ["transactional", "marketing"])
async def test_what_the_provider_has_is_sent(category: str) -> None:
    world, provider = World(), Asked(Taken("m-1"))
    await _in_doubt(world, provider, category=category)

    await _sweep_after(world, world.patience.in_doubt)

    delivery = world.delivery()
    assert (delivery.status, delivery.reason, delivery.wake_at) == (DeliveryStatus.SENT, "found_at_provider", None)
    assert world.publisher.take(SUBMITTED) == []
    assert world.notifications[0].history[-1].status is DeliveryStatus.SENT


@pytest.mark.parametrize("category", ["transactional", "marketing"])
async def test_what_the_provider_never_took_is_sent_again_whatever_its_category(category: str) -> None:
    world, provider = World(), Asked(NotTaken())
    await _in_doubt(world, provider, category=category)

    await _sweep_after(world, world.patience.in_doubt)

    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.RETRYING, "not_taken")
    assert len(world.publisher.take(SUBMITTED)) == 1


async def test_what_the_provider_gave_up_failed_for_its_reason() -> None:
    world, provider = World(), Asked(GivenUp("suppressed"))
    await _in_doubt(world, provider)

    await _sweep_after(world, world.patience.in_doubt)

    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.FAILED, "suppressed")


@pytest.mark.parametrize(
    "answer", [Unknown(), Transient("connection_failed"), InDoubt("no_answer"), ZeroDivisionError()]
)
@pytest.mark.parametrize(("category", "reason"), [("security", "resent_in_doubt"), ("marketing", "dropped_in_doubt")])
async def test_without_an_answer_the_category_decides(answer: Finding | Exception, category: str, reason: str) -> None:
    world, provider = World(), Asked(answer)
    await _in_doubt(world, provider, category=category)

    await _sweep_after(world, world.patience.in_doubt)

    assert world.delivery().reason == reason


async def test_the_provider_is_asked_about_the_attempt_and_its_address_only_when_patience_is_over() -> None:
    world, provider = World(), Asked(Unknown())
    claimed_at = world.clock.now()
    await _in_doubt(world, provider)

    await sweep(world.services)
    assert provider.asked == []
    await _sweep_after(world, world.patience.in_doubt)

    tracking_id = world.notifications[0].tracking_id
    assert provider.asked == [AttemptInDoubt(f"shop.{tracking_id}.email.1", EmailAddress(ADDRESS), claimed_at)]


async def test_only_the_provider_that_was_called_is_asked() -> None:
    world, called, other = World(), Asked(NotTaken(), name="called"), Asked(Taken(), name="other")
    await _in_doubt(world, called, other)

    await _sweep_after(world, world.patience.in_doubt)

    assert (len(called.asked), other.asked) == (1, [])


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (NotTaken(), NotTaken(), "not_taken"),
        (NotTaken(), Taken(), "found_at_provider"),
        (Unknown(), Taken(), "found_at_provider"),
        (NotTaken(), Unknown(), "resent_in_doubt"),
    ],
)
async def test_all_are_asked_when_nobody_knows_who_was_called(first: Finding, second: Finding, reason: str) -> None:
    world = World()
    await _claimed_by_the_dead(world, Asked(first, name="first"), Asked(second, name="second"))

    await _sweep_after(world, world.patience.in_doubt)

    assert world.delivery().reason == reason


async def test_one_that_can_not_be_asked_leaves_the_policy_to_decide() -> None:
    world = World()
    await _claimed_by_the_dead(world, Asked(NotTaken(), name="first"), FakeReceiptSource("email", "mute"))

    await _sweep_after(world, world.patience.in_doubt)

    assert world.delivery().reason == "resent_in_doubt"


def test_a_round_of_look_ups_is_bounded_in_time_and_number() -> None:
    async def scene() -> None:
        world, provider = World(), Asked(Taken(), takes=4)
        world.with_(providers={**world.services.providers, "email": (provider,)})
        provider.otherwise = InDoubt("no_answer")
        await submit_batch(a_batch([a_body()] * 50), CALLER, world.services)
        for message in world.publisher.take(SUBMITTED):
            await deliver(NotificationSubmitted.model_validate_json(message.body).to_chunk(), world.services)
        world.clock.advance(61)
        overdue = await world.services.notifications.overdue(world.clock.now(), 100)
        started = asyncio.get_running_loop().time()

        findings = await find_in_doubt(overdue, world.services)

        assert asyncio.get_running_loop().time() - started <= LOOK_UP_TIME.total_seconds()
        assert provider.most_at_once == LOOK_UPS_AT_ONCE
        assert len(findings) == 2 * LOOK_UPS_AT_ONCE
        assert provider.at_once == 0

    run_virtually(scene())


def test_an_attempt_that_was_found_is_never_sent_again() -> None:
    async def scene() -> None:
        world = World()
        provider = Asked(Taken())
        provider.otherwise = InDoubt("no_answer")
        world.with_(providers={**world.services.providers, "email": (provider,)})
        await world.submit()

        await RealWorld(world, receipts=None).quiesce()

        assert world.delivery().status is DeliveryStatus.SENT
        assert len(provider.ledger) == 1

    run_virtually(scene())
