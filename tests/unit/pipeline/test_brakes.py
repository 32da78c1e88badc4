"""A wave of failures or a spike is held within so many sends, by processes that tell each other; the rest goes on."""

import random
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus
from shared.domain.brakes import WINDOW
from shared.domain.errors import Rejected, Transient
from shared.domain.identifiers import AttemptId, TenantId
from shared.domain.notification import Attempt, Category, Lane, Notification, TemplateRef
from shared.domain.outcome import Outcome
from shared.domain.quarantine import Because
from shared.domain.status import DeliveryStatus
from shared.pipeline import operations
from shared.pipeline.services import STATUS, Services
from shared.pipeline.submit_batch import submit_batch
from shared.pipeline.track import track
from tests.fakes.braked_world import BrakedWorld
from tests.fakes.clock import START
from tests.fakes.world import CALLER, TENANT, a_batch, a_body


def _result(template: str, tenant: str = "shop", *, rejected: bool = False) -> tuple[Notification, Outcome]:
    attempt = Attempt(AttemptId("a"), 1, START, outcome="rejected" if rejected else "sent")
    status = DeliveryStatus.FAILED if rejected else DeliveryStatus.SENT
    notification = Notification(
        tracking_id="t",  # type: ignore[arg-type]
        tenant_id=TenantId(tenant),
        partition_key="p",  # type: ignore[arg-type]
        created_at=START,
        lane=Lane.NORMAL,
        category=Category.TRANSACTIONAL,
        deliveries={},
        template=TemplateRef(template, "1.0.0", "en"),
    )
    return notification, Outcome("t", "email", "c", status, attempt, START)  # type: ignore[arg-type]


class Fleet:
    """So many processes, over which what happens is spread at random."""

    def __init__(self, processes: int = 10) -> None:
        self.world = BrakedWorld()
        self.processes = [self.world.fresh_process() for _ in range(processes)]
        self.chance = random.Random(1)

    async def send(self, template: str, *, tenant: str = "shop", failing: float = 0.0, count: int = 1) -> None:
        process: Services = self.chance.choice(self.processes)
        results = [_result(template, tenant, rejected=self.chance.random() < failing) for _ in range(count)]
        process.brakes.note_outcomes(results, self.world.clock.now())
        await operations.brake(process)

    async def live(self, seconds: float, rate: float, **kinds: float) -> dict[str, int]:
        """``rate`` deliveries a second of ``kinds`` (template: share of failures); how many until each was held."""
        sent: dict[str, int] = dict.fromkeys(kinds, 0)
        held: dict[str, int] = {}
        for number in range(int(seconds * rate)):
            name = list(kinds)[number % len(kinds)]
            if name not in held:
                sent[name] += 1
                await self.send(name.replace("_", "-"), failing=kinds[name])
            self.world.pass_time(1 / rate)
            if number % 100 == 0:
                active = {each.subject.template_id for each in await self.world.store.active()}
                held |= {kind: sent[kind] for kind in kinds if kind.replace("_", "-") in active and kind not in held}
        return held


async def test_a_template_that_fails_is_held_within_some_hundred_sends_and_the_others_are_not() -> None:
    fleet = Fleet()

    held = await fleet.live(60, rate=100, broken=0.9, good=0.02, shaky=0.1)

    assert set(held) == {"broken"}
    assert held["broken"] < 900


async def test_what_fails_by_a_fifth_at_most_is_never_held() -> None:
    assert await Fleet().live(280, rate=50, poor=0.15, fair=0.18) == {}


async def test_a_tenant_whose_templates_fail_one_by_one_is_held_as_a_whole() -> None:
    fleet = Fleet(processes=3)
    for number in range(3000):
        await fleet.send(f"t{number % 100}", failing=0.8)
        fleet.world.pass_time(0.02)

    [quarantine] = await fleet.world.store.active()
    assert (quarantine.subject.tenant_id, quarantine.subject.template_id) == ("shop", None)
    assert quarantine.because is Because.FAILURES


async def test_ordinary_traffic_costs_a_write_for_each_subject_and_window_and_process() -> None:
    fleet = Fleet(processes=2)
    before = len(fleet.world.database.steps.names)
    await fleet.live(1200, rate=2, one=0.01, two=0.01)
    names = fleet.world.database.steps.names[before:]

    assert len([name for name in names if name in {"patch", "replace", "create"}]) < 2 * 3 * 5 * 4


async def _days(fleet: Fleet, days: int, per_window: int) -> None:
    """Quiet days: the same in every second hour."""
    for _ in range(days * 12):
        for process in fleet.processes:
            results = [_result("news") for _ in range(per_window // len(fleet.processes))]
            process.brakes.note_outcomes(results, fleet.world.clock.now())
        fleet.world.pass_time(WINDOW.total_seconds())
        for process in fleet.processes:
            process.brakes.note_outcomes([_result("news")], fleet.world.clock.now())
            for _ in range(2):
                await operations.brake(process)
                fleet.world.pass_time(2)
        fleet.world.pass_time(7200)


async def test_ten_times_the_highest_there_was_is_a_spike_and_less_is_not() -> None:
    fleet = Fleet(processes=2)
    await _days(fleet, 2, per_window=600)
    for _ in range(500):
        await fleet.send("news", count=10)
        fleet.world.pass_time(0.05)
    before = await fleet.world.store.active()
    for _ in range(500):
        await fleet.send("news", count=10)
        fleet.world.pass_time(0.05)

    after = {each.subject.template_id: each for each in await fleet.world.store.active()}
    assert before == []
    assert after["news"].because is Because.SPIKE
    assert after["news"].evidence["deliveries"] < 9000
    assert 500 < after["news"].evidence["highestBefore"] < 700


async def test_what_somebody_released_is_left_alone_for_an_hour() -> None:
    fleet = Fleet(processes=1)
    await fleet.live(20, rate=100, broken=1.0)
    first = {each.id for each in await fleet.world.store.active()}
    for each in first:
        await operations.release_quarantine(each, CALLER, fleet.processes[0])
    await fleet.live(600, rate=20, broken=1.0)
    meanwhile = await fleet.world.store.active()
    fleet.world.pass_time(3600)
    await fleet.live(30, rate=100, broken=1.0)

    assert first == {"tenant.shop", "template.shop.broken"}
    assert meanwhile == []
    assert {each.id for each in await fleet.world.store.active()} == first


async def test_what_a_provider_could_not_take_for_now_is_no_failure() -> None:
    world = BrakedWorld()
    world.email.otherwise = Transient("http_503")
    await submit_batch(a_batch([a_body(reference=str(n)) for n in range(400)]), CALLER, world.services)
    await world.deliver_all()
    world.pass_time(10)
    await operations.brake(world.services)

    assert await world.store.active() == []


async def test_what_a_provider_rejects_is_and_the_rest_of_the_batch_waits(caplog: pytest.LogCaptureFixture) -> None:
    world = BrakedWorld()
    world.email.otherwise = Rejected("no_such_user")
    for _ in range(3):
        await submit_batch(a_batch([a_body(reference=str(n)) for n in range(400)]), CALLER, world.services)
    await world.deliver_all()
    world.pass_time(10)
    await operations.brake(world.services)
    await submit_batch(a_batch([a_body(reference=str(n)) for n in range(100)]), CALLER, world.services)
    calls = len(world.email.ledger)

    held = await world.deliver_all()

    assert len(held) == 2
    assert len(world.email.ledger) == calls
    assert [record.message for record in caplog.records].count("Quarantine opened") == 1
    [fact] = [entry.fact for entry in await _audited(world) if entry.fact.action == "quarantine.open"]
    assert (fact.actor, fact.subject) == ("brakes", f"tenant.{TENANT}")


async def _audited(world: BrakedWorld) -> list[Any]:
    [head] = await world.services.audit.newest(TENANT)
    return list(await world.services.audit.entries(head, 1000, 100))


async def test_bounces_that_receipts_tell_of_hold_the_tenant() -> None:
    world = BrakedWorld()
    await submit_batch(a_batch([a_body(reference=str(n)) for n in range(400)]), CALLER, world.services)
    await world.deliver_all()
    for message in world.publisher.take(STATUS):
        event = NotificationStatus.model_validate_json(message.body)
        bounced = [item.model_copy(update={"status": DeliveryStatus.BOUNCED}) for item in event.items]
        await track(event.model_copy(update={"items": bounced, "recorded": False}), world.services)
    world.pass_time(10)
    await operations.brake(world.services)

    [quarantine] = await world.store.active()
    assert quarantine.because is Because.FAILURES


async def test_a_store_that_is_away_neither_brakes_nor_disturbs() -> None:
    fleet = Fleet(processes=1)
    fleet.world.database.away = True
    for _ in range(300):
        await fleet.send("broken", failing=1.0)
        fleet.world.pass_time(0.1)
    fleet.world.database.away = False
    await fleet.live(10, rate=50, broken=1.0)

    assert "template.shop.broken" in {each.id for each in await fleet.world.store.active()}
