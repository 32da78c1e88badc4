import json
from datetime import timedelta
from typing import Any

import pytest

from functions import dead_letters
from shared.contracts.dead_letter_documents import letter_document
from shared.domain.dead_letter import BUS, DeadDelivery, DeadLetter, DeadMessage, Tag
from shared.domain.identifiers import AttemptId, TenantId, TrackingId
from shared.domain.notification import Attempt, Category, Lane, TemplateRef
from shared.pipeline.dead_letters_triage import PAGE_DAYS, PAGE_LETTERS
from tests.fakes.clock import START
from tests.fakes.world import TENANT, World
from tests.unit.functions.conftest import trigger

OWNER = f"Bearer {TENANT}/DeadLetters.Replay"
OPERATOR = "Bearer ops/DeadLetters.Replay,Operations.Read"
ID = "01M86PTPG0FM4ZR32P5GKMSV2T"


def a_letter(number: int = 0, **changes: Any) -> DeadLetter:
    """Letter ``number`` died so many minutes before the start."""
    died = changes.pop("died", START - timedelta(minutes=number))
    told = {"tenant": TENANT, "tag": Tag.EXHAUSTED, "channel": "email", "template": "order-confirmation"} | changes
    attempts = tuple(
        Attempt(
            AttemptId(f"{told['tenant']}.{ID}.{told['channel']}.{n}"), n, died - timedelta(seconds=3 - n), "somepost",
            "transient", "provider_unavailable", finished_at=died - timedelta(seconds=3 - n, milliseconds=-250),
        )
        for n in (1, 2)
    )  # fmt: skip
    story = DeadDelivery(
        TrackingId(f"{ID[:-4]}{number:04}"), told["channel"], Lane.NORMAL, 2, attempts, Category.TRANSACTIONAL,
        TemplateRef(told["template"], "1.0.0", "en"), None,
    )  # fmt: skip
    return DeadLetter(TenantId(told["tenant"]), told["tag"], "attempts_exhausted", died, story, died)


class Desk:
    """Where dead letters are looked at."""

    def __init__(self, world: World, call: Any) -> None:
        self.world = world
        self._call = call

    async def file(self, *letters: DeadLetter) -> None:
        for letter in letters:
            await self.world.services.dead_letters.file(letter)

    async def ask(self, builder: Any, expected: int = 200, token: str = OWNER, **options: Any) -> dict[str, Any]:
        answer = await self._call(builder, token=token, **options)
        assert answer.status_code == expected, answer.get_body()
        return dict(json.loads(answer.get_body()))

    async def page(self, expected: int = 200, token: str = OWNER, **query: str) -> dict[str, Any]:
        named = {name.rstrip("_"): value for name, value in query.items()}
        return await self.ask(dead_letters.list_dead_letters, expected, token, query=named)

    async def all_ids(self, token: str = OWNER, **query: str) -> list[str]:
        ids: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.page(token=token, **query, **cursor)
            ids += [letter["id"] for letter in page["letters"]]
            if "next" not in page:
                return ids
            cursor = {"cursor": page["next"]}

    async def read(self, letter_id: str, expected: int = 200, token: str = OWNER, **query: str) -> dict[str, Any]:
        route = {"id": letter_id}
        return await self.ask(dead_letters.read_dead_letter, expected, token, route=route, query=query)

    async def counts(self, token: str = OWNER, **query: str) -> dict[str, Any]:
        return await self.ask(dead_letters.count_dead_letters, token=token, query=query)


@pytest.fixture
def desk(world: World, call: Any) -> Desk:
    return Desk(world, call)


async def test_where_nothing_died_there_is_nothing_to_see(desk: Desk) -> None:
    assert (await desk.page())["letters"] == []
    assert (await desk.counts())["open"] == {}


async def test_one_letter_tells_the_whole_story(desk: Desk) -> None:
    letter = a_letter()
    await desk.file(letter)

    told = await desk.read(letter.id)

    attempts = told.pop("attempts")
    assert told == {
        "id": f"20261124.{ID[:-4]}0000.email.2", "tenant": TENANT, "kind": "delivery", "tag": "exhausted",
        "reason": "attempts_exhausted", "state": "open", "deadSince": "2026-11-24T12:00:00Z",
        "filedAt": "2026-11-24T12:00:00Z", "copies": 1, "trackingId": f"{ID[:-4]}0000", "channel": "email",
        "priority": "normal", "category": "transactional", "attemptCount": 2,
        "template": {"id": "order-confirmation", "version": "1.0.0", "locale": "en"},
        "links": {
            "self": f"/api/v1/dead-letters/{letter.id}?tenant={TENANT}",
            "notification": f"/api/v1/notifications/{ID[:-4]}0000",
        },
    }  # fmt: skip
    assert [(each["number"], each["provider"], each["outcome"], each["latencyMs"]) for each in attempts] == [
        (1, "somepost", "transient", 250), (2, "somepost", "transient", 250),
    ]  # fmt: skip


async def test_letters_are_listed_newest_first_through_pages_and_days(desk: Desk) -> None:
    letters = [a_letter(number * 60 * 5) for number in range(PAGE_LETTERS + 10)]
    await desk.file(*letters)

    ids = await desk.all_ids()

    assert ids == [letter.id for letter in letters if letter.dead_since > START - timedelta(days=14)]
    assert len(ids) > PAGE_LETTERS


async def test_letters_of_one_instant_are_each_listed_once(desk: Desk) -> None:
    letters = [a_letter(number, died=START) for number in range(2 * PAGE_LETTERS + 1)]
    await desk.file(*letters)

    assert sorted(await desk.all_ids()) == sorted(letter.id for letter in letters)


async def test_a_page_looks_at_so_many_days_only_and_says_where_to_go_on(desk: Desk) -> None:
    letter = a_letter(died=START - timedelta(days=PAGE_DAYS + 5))
    await desk.file(letter)
    since = (START - timedelta(days=40)).isoformat()

    page = await desk.page(from_=since)

    assert page["letters"] == []
    assert await desk.all_ids(from_=since) == [letter.id]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"tag": "poison"}, [1]),
        ({"channel": "sms"}, [2]),
        ({"template": "welcome"}, [3]),
        ({"tag": "poison", "channel": "sms"}, []),
        ({"from_": "2026-11-24T11:57:30Z"}, [0, 1, 2]),
        ({"to": "2026-11-24T11:59:00Z"}, [2, 3]),
        ({"from_": "2026-11-24T11:58:00Z", "to": "2026-11-24T11:59:30Z"}, [1, 2]),
        ({"state": "replayed"}, []),
        ({"state": "all"}, [0, 1, 2, 3]),
    ],
)
async def test_letters_are_found_by_what_they_are(desk: Desk, query: dict[str, str], found: list[int]) -> None:
    letters = [a_letter(), a_letter(1, tag=Tag.POISON), a_letter(2, channel="sms"), a_letter(3, template="welcome")]
    await desk.file(*letters)

    assert await desk.all_ids(**query) == [letters[number].id for number in found]


async def test_open_letters_are_counted_by_tag(desk: Desk) -> None:
    await desk.file(*(a_letter(number, tag=Tag.POISON if number < 2 else Tag.EXPIRED) for number in range(5)))
    await desk.file(a_letter(9, tenant="another"))

    counts = await desk.counts()

    assert counts["open"] == {"expired": 3, "poison": 2}
    assert counts["replayed"] == 0
    assert (await desk.counts(channel="sms"))["open"] == {}
    assert (await desk.counts(token=OPERATOR))["open"] == {"expired": 3, "poison": 2, "exhausted": 1}


async def test_a_tenant_sees_its_own_letters_and_no_others(desk: Desk) -> None:
    own, foreign = a_letter(), a_letter(1, tenant="another")
    await desk.file(own, foreign, _a_message())

    assert await desk.all_ids() == [own.id]
    assert await desk.all_ids(tenant=TENANT) == [own.id]
    await desk.read(foreign.id, 404)
    await desk.read(foreign.id, 404, tenant="another")
    await desk.page(404, tenant="another")
    await desk.page(404, tenant=BUS)


async def test_an_operator_sees_all_tenants_and_what_belongs_to_nobody(desk: Desk) -> None:
    own, foreign, message = a_letter(), a_letter(1, tenant="another"), _a_message()
    await desk.file(own, foreign, message)

    assert await desk.all_ids(token=OPERATOR) == [own.id, foreign.id, message.id]
    assert await desk.all_ids(token=OPERATOR, tenant="another") == [foreign.id]
    assert await desk.all_ids(token=OPERATOR, tenant=BUS) == [message.id]
    assert (await desk.read(foreign.id, token=OPERATOR, tenant="another"))["tenant"] == "another"
    told = await desk.read(message.id, token=OPERATOR, tenant=BUS)
    assert (told["kind"], told["entity"], told["bytes"], told["isKept"]) == ("message", "callbacks", 9, True)
    assert "body" not in told


def _a_message() -> DeadLetter:
    died = START - timedelta(hours=1)
    return DeadLetter(BUS, Tag.UNPROCESSED, "x", died, DeadMessage("callbacks", "d" * 64, 9, (), "{}"), died)


@pytest.mark.parametrize(
    "letter_id", ["", "x", "20261124", "20261124.", ".x", "20261124.nothing", f"20261124x.{ID}.email.2", "²0261124.x"]
)
async def test_what_is_no_letters_id_is_not_found(desk: Desk, letter_id: str) -> None:
    await desk.read(letter_id, 404)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"tag": "sad"}, "/tag"),
        ({"channel": "fax"}, "/channel"),
        ({"template": "A B"}, "/template"),
        ({"state": "closed"}, "/state"),
        ({"from_": "soon"}, "/from"),
        ({"cursor": "AAAA"}, "/cursor"),
        ({"cursor": "WzEsMl0="}, "/cursor"),
        ({"cursor": "WyIyMDI2MTEyNCIsMl0="}, "/cursor"),
        ({"size": "9"}, "/size"),
    ],
)
async def test_a_query_that_can_not_be_meant_is_refused(desk: Desk, query: dict[str, str], pointer: str) -> None:
    problem = await desk.page(422, **query)

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("builder", [dead_letters.list_dead_letters, dead_letters.count_dead_letters])
async def test_without_the_role_there_is_nothing_to_see(desk: Desk, builder: Any) -> None:
    await desk.ask(builder, 403, token=f"Bearer {TENANT}/Notifications.Read,Operations.Read")


async def test_the_queues_are_filed(world: World, desk: Desk) -> None:
    letter = a_letter()

    class Message:
        dead_letter_source = "notifications-status/Subscriptions/tracker"
        dead_letter_reason = "MaxDeliveryCountExceeded"
        enqueued_time_utc = START - timedelta(minutes=1)

        def __init__(self, body: bytes) -> None:
            self.get_body = lambda: body

    await trigger(dead_letters.file_dead_letters)(Message(json.dumps(letter_document(letter)).encode()))
    await trigger(dead_letters.file_undelivered)(Message(b"junk"))

    [first, second] = (await desk.page(token=OPERATOR))["letters"]
    assert first["id"] == letter.id
    assert (second["entity"], second["tag"]) == ("notifications-status/tracker", "poison")
