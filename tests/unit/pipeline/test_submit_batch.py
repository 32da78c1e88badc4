import json
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.http_api import MAX_BATCH_BODY_BYTES, MAX_BATCH_ITEMS
from shared.domain.errors import Conflict, InvalidSubmission, KeyReused, StoreUnavailable
from shared.domain.idempotency import RESUME_AFTER
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit import SubmitRequest
from shared.pipeline.submit_batch import SubmittedBatch, submit_batch
from tests.fakes.steps import Crash, Fault, FaultsAt
from tests.fakes.world import CALLER, World, a_batch, a_body

BAD: dict[str, Any] = {"channels": ["pigeon"]}


async def _submit(world: World, items: list[Any], key: str | None = None) -> SubmittedBatch:
    return await submit_batch(a_batch(items, key), CALLER, world.services)


def _items(count: int) -> list[dict[str, Any]]:
    return [a_body(reference=f"item-{n}") for n in range(count)]


async def test_a_thousand_are_committed_in_ten_calls_and_published_in_twenty_chunks() -> None:
    world = World()

    done = await _submit(world, _items(1000))

    answer = json.loads(done.answer)
    assert (answer["accepted"], answer["rejected"], done.partial) == (1000, 0, False)
    assert [item["index"] for item in answer["items"]] == list(range(1000))
    assert len({item["trackingId"] for item in answer["items"]}) == 1000
    assert len(world.notifications) == 1000
    assert len({n.partition_key for n in world.notifications}) == 10
    assert len(world.publisher.published[SUBMITTED]) == 20


async def test_one_bad_item_refuses_only_itself() -> None:
    world = World()

    done = await _submit(world, [a_body(), BAD, a_body(), 7, None, a_body(recipient={"email": "x"})])

    answer = json.loads(done.answer)
    assert done.partial
    assert (answer["accepted"], answer["rejected"]) == (2, 4)
    assert [("trackingId" in item, "problem" in item) for item in answer["items"]] == [
        (True, False), (False, True), (True, False), (False, True), (False, True), (False, True),
    ]  # fmt: skip
    assert answer["items"][5]["problem"]["errors"][0]["pointer"] == "/recipient/email"
    assert len(world.notifications) == 2


async def test_a_batch_of_refusals_only_stores_nothing() -> None:
    world = World()

    done = await _submit(world, [BAD, BAD])

    assert json.loads(done.answer)["accepted"] == 0
    assert done.partial
    assert world.documents == {}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"notifications": []}', 422),
        (b'{"notifications": {}}', 422),
        (b'{"notifications": [1], "more": 1}', 422),
        (json.dumps({"notifications": [1] * (MAX_BATCH_ITEMS + 1)}).encode(), 422),
        (b" " * (MAX_BATCH_BODY_BYTES + 1), 413),
        (b'{"notifications": [{"data": NaN}]}', 400),
    ],
)
async def test_a_wrong_envelope_is_refused_as_a_whole(body: bytes, status: int) -> None:
    world = World()

    with pytest.raises(InvalidSubmission) as refused:
        await submit_batch(SubmitRequest(body, "k"), CALLER, world.services)

    assert refused.value.status == status
    assert world.documents == {}


async def test_the_same_key_and_body_replay_the_answer_with_its_refusals() -> None:
    world = World()
    first = await _submit(world, [a_body(), BAD], "k")

    again = await _submit(world, [a_body(), BAD], "k")

    assert (again.answer, again.replayed, again.partial) == (first.answer, True, True)
    assert len(world.notifications) == 1


async def test_the_same_key_with_another_body_is_refused() -> None:
    world = World()
    await _submit(world, [a_body()], "k")

    with pytest.raises(KeyReused):
        await _submit(world, [a_body(), a_body()], "k")


async def test_a_batch_in_progress_is_a_conflict_until_it_counts_as_abandoned() -> None:
    world = World()
    world.watch(FaultsAt({1: Fault.CRASH_BEFORE}))
    with pytest.raises(Crash):
        await _submit(world, _items(3), "k")
    world.restart()

    world.clock.advance(RESUME_AFTER - timedelta(seconds=1))
    with pytest.raises(Conflict):
        await _submit(world, _items(3), "k")
    world.clock.advance(1)
    done = await _submit(world, _items(3), "k")

    assert not done.replayed
    assert len(world.notifications) == 3


async def test_a_batch_that_failed_may_be_repeated_at_once() -> None:
    world = World()
    world.watch(FaultsAt({1: Fault.LOST_BEFORE}))
    with pytest.raises(StoreUnavailable):
        await _submit(world, _items(3), "k")

    await _submit(world, _items(3), "k")

    assert len(world.notifications) == 3


async def test_two_who_resume_the_same_batch_do_not_both_go_on() -> None:
    world = World()
    world.watch(FaultsAt({1: Fault.CRASH_BEFORE}))
    with pytest.raises(Crash):
        await _submit(world, _items(3), "k")
    world.restart()
    world.clock.advance(RESUME_AFTER)
    real = world.services.notifications

    class Slow(type(real)):  # type: ignore[misc]
        async def replace_key(self, record: Any) -> Any:
            if not record.answer:
                await real.replace_key(record)  # somebody else was faster
            return await real.replace_key(record)

    world.with_(notifications=Slow(world.database, world.clock, world.keyring))
    with pytest.raises(Conflict):
        await _submit(world, _items(3), "k")


async def test_without_a_key_the_items_whose_partition_failed_are_named() -> None:
    world = World()
    world.watch(FaultsAt({1: Fault.LOST_BEFORE}))

    done = await _submit(world, _items(250))

    answer = json.loads(done.answer)
    assert done.partial
    assert answer["accepted"] + answer["rejected"] == 250
    assert answer["rejected"] in {50, 100}
    refused = [item for item in answer["items"] if "problem" in item]
    assert {item["problem"]["status"] for item in refused} == {503}
    stored = {n.tracking_id for n in world.notifications}
    assert stored == {item["trackingId"] for item in answer["items"] if "trackingId" in item}


@pytest.mark.parametrize("key", [None, "k"])
async def test_when_nothing_could_be_stored_the_batch_was_not_accepted(key: str | None) -> None:
    world = World()
    world.database.away = True

    with pytest.raises(StoreUnavailable):
        await _submit(world, _items(3), key)

    assert world.publisher.published[SUBMITTED] == []


async def test_large_items_make_smaller_commits() -> None:
    world = World()
    big = a_body(content={"email": {"subject": "s", "text": "t" * 50_000}})

    await _submit(world, [big] * 100)

    assert len({n.partition_key for n in world.notifications}) >= 4


async def test_items_accepted_differently_the_second_time_are_neither_lost_nor_doubled() -> None:
    """Between a crash and the repeated request a channel was switched on, so an item refused before is good now."""
    world = World()
    sms = a_body(channels=["sms"], recipient={"phone": "+4915112345678"}, content={"sms": {"text": "x"}})
    items = [sms, *_items(150)]
    provider = world.providers.pop("sms")
    world.services = world.fresh_process()
    world.watch(FaultsAt({4: Fault.CRASH_BEFORE}))
    with pytest.raises(Crash):
        await _submit(world, items, "k")
    world.providers["sms"] = provider
    world.restart()
    world.clock.advance(RESUME_AFTER)

    done = await _submit(world, items, "k")

    promised = {item["trackingId"] for item in json.loads(done.answer)["items"] if "trackingId" in item}
    assert {n.tracking_id for n in world.notifications} == promised


async def test_a_batch_that_is_mostly_nonsense_is_still_answered_and_replayed() -> None:
    world = World()
    nonsense = {f"field{n}{'x' * 100}": 1 for n in range(60)}

    first = await _submit(world, [nonsense] * 999 + [a_body()], "k")
    again = await _submit(world, [nonsense] * 999 + [a_body()], "k")

    items = json.loads(first.answer)["items"]
    assert (again.answer, again.replayed) == (first.answer, True)
    assert len(items[0]["problem"]["errors"]) == 50
    assert {item["problem"]["status"] for item in items[:999]} == {422}
    assert len(world.notifications) == 1


async def test_texts_in_any_script_fit_into_the_stores_commits() -> None:
    world = World()
    text = a_body(content={"email": {"subject": "s", "text": "漢字" * 8000}})
    body = json.dumps({"notifications": [text] * 100}, ensure_ascii=False).encode()

    done = await submit_batch(SubmitRequest(body), CALLER, world.services)

    assert not done.partial


async def test_an_item_may_be_as_large_as_a_single_request() -> None:
    world = World()
    content = {"webhook": {"x": "y" * 3_000_000}}
    huge = a_body(channels=["webhook"], recipient={"webhookUrl": "https://a.example"}, content=content)

    done = await _submit(world, [huge, a_body()], "k")

    items = json.loads(done.answer)["items"]
    assert items[0]["problem"]["status"] == 413
    assert len(world.notifications) == 1
