import json
import random
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_timeline import CONTAINER
from shared.contracts.query import read_query
from shared.contracts.timeline_api import ListParameters
from shared.domain.errors import InvalidSubmission, Rejected, StoreUnavailable
from shared.domain.identifiers import TenantId, TrackingId
from shared.pipeline import timeline
from shared.pipeline.submit_batch import submit_batch
from shared.ports import Caller
from tests.fakes.clock import START
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body, a_request

OTHER = Caller(TenantId("rival"), "rival", frozenset({"Notifications.Read"}))


async def _indexed(world: World) -> None:
    await timeline.index(list(world.documents.values()), world.services)


async def _page(world: World, caller: Caller = CALLER, **query: str) -> dict[str, Any]:
    wanted = read_query(ListParameters, {name.rstrip("_"): value for name, value in query.items()})
    page = await timeline.list_notifications(wanted, caller, world.services)
    return dict(json.loads(page.to_json()))


async def _all(world: World, **query: str) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await _page(world, **query, **cursor)
        found += [each["trackingId"] for each in page["notifications"]]
        if "next" not in page:
            return found
        cursor = {"cursor": page["next"]}


def _index(world: World) -> dict[str, Any]:
    pages = world.database.container(CONTAINER).documents
    return {name: {key: value for key, value in page.items() if key != "_etag"} for (_, name), page in pages.items()}


async def _accepted(world: World, count: int, seconds: float = 0.4, **changes: Any) -> list[TrackingId]:
    ids = []
    for _ in range(count):
        ids.append((await world.submit(a_request(**changes))).tracking_id)
        world.clock.advance(seconds)
    return ids


async def test_notifications_are_listed_newest_first_whatever_the_page_is() -> None:
    world = World()
    ids = await _accepted(world, 12, 0.3)
    await _indexed(world)

    for size in (1, 3, 5, 100):
        assert await _all(world, limit=str(size)) == ids[::-1]


async def test_a_customers_notifications_are_found_over_days() -> None:
    world = World()
    first = await _accepted(world, 2, 30 * 86_400.0, recipient={"customerId": "ada", "email": "ada@example.com"})
    await _accepted(world, 2)
    last = await _accepted(world, 1, recipient={"customerId": "ada", "email": "ada@example.com"})
    await _indexed(world)

    assert await _all(world, customerId="ada") == [*last, *first[::-1]]
    assert await _all(world, customerId="eve") == []


async def test_every_filter_holds() -> None:
    world = World()
    template = {"id": "order-confirmation"}
    data = {"orderId": "A-1", "orderTotal": "1"}
    [plain] = await _accepted(world, 1, reference="r-1")
    [templated] = await _accepted(world, 1, content=None, template=template, data=data)
    world.email.script = [Rejected("invalid_address")]
    await _indexed(world)

    assert await _all(world, reference="r-1") == [plain]
    assert await _all(world, template="order-confirmation") == [templated]
    assert await _all(world, template="order-confirmation", reference="r-1") == []
    assert await _all(world, status="accepted") == [templated, plain]
    assert await _all(world, status="sent") == []
    second = (START + timedelta(seconds=0.4)).isoformat()
    assert await _all(world, from_=second) == [templated]
    assert await _all(world, to=second) == [plain]


async def test_a_list_shows_where_each_stands_now_and_no_address() -> None:
    world = World()
    await _accepted(world, 1, reference="r-1")
    await _indexed(world)
    [message] = world.publisher.take("notifications-submitted")
    from tests.fakes.real_world import RealWorld  # noqa: PLC0415 - only here

    await RealWorld(world, None).redeliver(message)
    page = await _page(world)

    [shown] = page["notifications"]
    assert (shown["status"], shown["reference"], shown["customerId"]) == ("sent", "r-1", "cust-1")
    assert shown["deliveries"] == [{"channel": "email", "status": "sent", "provider": "fake-email"}]
    assert "example.com" not in json.dumps(page)
    assert "example.com" not in json.dumps(_index(world))
    assert "cust-1" not in json.dumps(_index(world))


async def test_a_batch_of_a_hundred_is_one_document() -> None:
    world = World()
    await submit_batch(a_batch([a_body() for _ in range(100)]), CALLER, world.services)
    await _indexed(world)

    assert len(_index(world)) == 1
    assert len(await _all(world, limit="7")) == 100


async def test_the_feed_in_any_order_and_over_again_ends_in_the_same_index() -> None:
    """Overlapping batches in any order, seen by processes that know nothing of each other, and all of it twice."""
    world = World()
    for _ in range(5):
        await submit_batch(a_batch([a_body(reference=f"r-{n}") for n in range(30)]), CALLER, world.services)
        world.clock.advance(0.2)
    await _accepted(world, 20, 0.1)
    await _indexed(world)
    expected = _index(world)
    for seed in range(20):
        chance = random.Random(seed)
        world.database.container(CONTAINER).documents.clear()
        for _ in range(2):
            shown = list(world.documents.values()) * 2
            chance.shuffle(shown)
            for start in range(0, len(shown), 37):
                if chance.random() < 0.5:
                    world.restart()
                await timeline.index(shown[start : start + 37], world.services)

        assert _index(world) == expected


async def test_what_the_feed_shows_again_costs_the_process_that_knows_it_nothing() -> None:
    world = World()
    await _accepted(world, 3)
    await _indexed(world)
    before = len(world.database.steps.names)
    await _indexed(world)

    assert len(world.database.steps.names) == before


async def test_a_store_that_is_away_lets_the_feed_show_them_again() -> None:
    world = World()
    await _accepted(world, 3)
    shown = list(world.documents.values())
    world.database.away = True
    with pytest.raises(StoreUnavailable):
        await timeline.index(shown, world.services)
    world.database.away = False
    await timeline.index(shown, world.services)

    assert len(await _all(world)) == 3


async def test_another_tenant_sees_nothing_and_its_cursor_opens_nothing() -> None:
    world = World()
    await _accepted(world, 3)
    await _indexed(world)
    cursor = (await _page(world, limit="1"))["next"]

    assert await _page(world, OTHER) == {"notifications": []}
    with pytest.raises(InvalidSubmission):
        await _page(world, OTHER, limit="1", cursor=cursor)


@pytest.mark.parametrize("change", ["another question", "one character", "shorter", "nonsense"])
async def test_a_cursor_that_is_none_of_ours_is_refused(change: str) -> None:
    world = World()
    await _accepted(world, 3)
    await _indexed(world)
    cursor = (await _page(world, limit="1"))["next"]
    query = {"customerId": "cust-1"} if change == "another question" else {}
    if change == "one character":
        cursor = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    elif change == "shorter":
        cursor = cursor[:-4]
    elif change == "nonsense":
        cursor = "abcd"

    with pytest.raises(InvalidSubmission) as refusal:
        await _page(world, limit="1", cursor=cursor, **query)

    assert [error.pointer for error in refusal.value.errors] == ["/cursor"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"limit": "0"}, "/limit"),
        ({"limit": "101"}, "/limit"),
        ({"limit": "ten"}, "/limit"),
        ({"status": "lost"}, "/status"),
        ({"from": "yesterday"}, "/from"),
        ({"customer": "ada"}, "/customer"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(query: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidSubmission) as refusal:
        read_query(ListParameters, query)

    assert [error.pointer for error in refusal.value.errors] == [pointer]


async def test_a_rare_status_is_looked_for_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await _accepted(world, 30, 0.1)
    await _indexed(world)
    monkeypatch.setattr(timeline, "READ_FOR_A_PAGE", 10)
    page = await _page(world, status="failed", limit="5")

    assert page["notifications"] == []
    assert "next" in page
    assert await _all(world, status="failed", limit="5") == []


async def test_a_busy_second_is_listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """More pages of the index in one window than are read at once."""
    world = World()
    ids = await _accepted(world, 40, 0.005)
    await _indexed(world)
    monkeypatch.setattr(timeline, "PAGES_AT_ONCE", 3)

    assert await _all(world, limit="9") == ids[::-1]


async def test_what_is_gone_is_left_out() -> None:
    world = World()
    ids = await _accepted(world, 2)
    await _indexed(world)
    gone = next(place for place in world.documents if place[1] == ids[0])
    del world.documents[gone]

    assert await _all(world) == [ids[1]]
    assert TENANT in gone[0]
