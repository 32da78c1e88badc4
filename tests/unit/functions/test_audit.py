import json
from datetime import timedelta
from typing import Any

import pytest

from functions import audit, tenant_policies
from shared.adapters.cosmos_audit import CONTAINER
from shared.domain.audit_chain import AuditFact, partition_of
from shared.pipeline.audit import PAGE_ENTRIES, PAGE_PARTITIONS
from tests.fakes.world import TENANT, World

READER = "Bearer ops/Operations.Read"


class Trail:
    """A tenant's audit trail, written through the port and read over HTTP."""

    def __init__(self, world: World, call: Any) -> None:
        self.world = world
        self._call = call

    async def append(self, count: int = 1, action: str = "thing.change") -> None:
        for _ in range(count):
            number = sum(1 for _ in self.documents("entry"))
            fact = AuditFact(f"e{number}", TENANT, self.world.clock.now(), "ops", action, f"thing-{number}")
            await self.world.services.audit.append(fact)

    def documents(self, kind: str) -> list[dict[str, Any]]:
        documents = self.world.database.container(CONTAINER).documents.values()
        return [document for document in documents if document["type"] == kind]

    def entry(self, subject: str) -> dict[str, Any]:
        return next(document for document in self.documents("entry") if document["subject"] == subject)

    def remove(self, subject: str) -> None:
        document = self.entry(subject)
        del self.world.database.container(CONTAINER).documents[document["partitionKey"], document["id"]]

    async def ask(self, builder: Any, expected: int = 200, token: str = READER, **query: str) -> dict[str, Any]:
        parameters = {"tenant": TENANT} | {name.rstrip("_"): value for name, value in query.items()}
        answer = await self._call(builder, token=token, query=parameters)
        assert answer.status_code == expected, answer.get_body()
        return dict(json.loads(answer.get_body()))

    async def read_all(self, **query: str) -> list[str]:
        subjects: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.ask(audit.read_audit, **query, **cursor)
            subjects += [entry["subject"] for entry in page["entries"]]
            if "next" not in page:
                return subjects
            cursor = {"cursor": page["next"]}

    async def verify(self) -> dict[str, Any]:
        return await self.ask(audit.verify_audit)


@pytest.fixture
def trail(world: World, call: Any) -> Trail:
    return Trail(world, call)


async def test_a_tenant_nothing_was_done_for_has_an_empty_trail(trail: Trail) -> None:
    assert await trail.ask(audit.read_audit) == {"entries": []}
    assert await trail.verify() == {"tenant": TENANT, "partitions": 0, "entries": 0, "faults": []}


async def test_an_entry_says_who_did_what_to_what(trail: Trail) -> None:
    await trail.append()

    [entry] = (await trail.ask(audit.read_audit))["entries"]

    assert entry.pop("hash")
    assert entry.pop("previousHash")
    assert entry == {
        "partition": partition_of(TENANT, trail.world.clock.now()), "sequence": 1, "eventId": "e0", "tenant": TENANT,
        "at": "2026-11-24T12:00:00Z", "actor": "ops", "action": "thing.change", "subject": "thing-0", "detail": {},
    }  # fmt: skip


async def test_pages_lead_through_all_hours_newest_first(trail: Trail) -> None:
    for count in (PAGE_ENTRIES + 3, 1, PAGE_ENTRIES, 2):
        await trail.append(count)
        trail.world.clock.advance(timedelta(hours=30))

    total = 2 * PAGE_ENTRIES + 6
    assert await trail.read_all() == [f"thing-{number}" for number in reversed(range(total))]


async def test_a_page_looks_at_so_many_hours_only(trail: Trail) -> None:
    for _ in range(PAGE_PARTITIONS + 1):
        await trail.append()
        trail.world.clock.advance(timedelta(hours=1))

    first = await trail.ask(audit.read_audit)

    assert len(first["entries"]) == PAGE_PARTITIONS
    assert len(await trail.read_all()) == PAGE_PARTITIONS + 1


async def test_entries_are_found_by_action_and_time(trail: Trail) -> None:
    start = trail.world.clock.now()
    for number in range(6):
        await trail.append(action="thing.change" if number % 2 else "thing.remove")
        trail.world.clock.advance(timedelta(hours=5))

    def at(hours: int) -> str:
        return (start + timedelta(hours=hours)).isoformat()

    assert await trail.read_all(action="thing.remove") == ["thing-4", "thing-2", "thing-0"]
    assert await trail.read_all(from_=at(10)) == ["thing-5", "thing-4", "thing-3", "thing-2"]
    assert await trail.read_all(from_=at(5), to=at(15)) == ["thing-2", "thing-1"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"tenant": ""}, "/tenant"),
        ({"tenant": "a:b"}, "/tenant"),
        ({"from_": "yesterday"}, "/from"),
        ({"from_": "2026-11-24T12:00:00"}, "/from"),
        ({"action": "x y"}, "/action"),
        ({"colour": "red"}, "/colour"),
        ({"cursor": "$$"}, "/cursor"),
        ({"cursor": "AAAA"}, "/cursor"),
        ({"cursor": "e30="}, "/cursor"),
    ],
)
async def test_a_query_that_can_not_be_meant_is_refused(trail: Trail, query: dict[str, str], pointer: str) -> None:
    problem = await trail.ask(audit.read_audit, 422, **query)

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_cursor_leads_to_no_other_tenant(trail: Trail) -> None:
    await trail.append(PAGE_ENTRIES + 1)
    cursor = (await trail.ask(audit.read_audit))["next"]

    problem = await trail.ask(audit.read_audit, 422, tenant="another", cursor=cursor)

    assert [error["pointer"] for error in problem["errors"]] == ["/cursor"]


@pytest.mark.parametrize("builder", [audit.read_audit, audit.verify_audit])
async def test_only_operators_may_look(trail: Trail, builder: Any) -> None:
    await trail.ask(builder, 403, token=f"Bearer {TENANT}/Notifications.Read,DeadLetters.Replay")


async def _a_day(trail: Trail) -> None:
    for count in (3, 4, 2):
        await trail.append(count)
        trail.world.clock.advance(timedelta(hours=2))


async def test_a_trail_nobody_touched_is_without_fault(trail: Trail) -> None:
    await _a_day(trail)

    assert await trail.verify() == {"tenant": TENANT, "partitions": 3, "entries": 9, "faults": []}


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("thing-1", {"partition": "shop:2026112412:0", "index": 1, "kind": "edited"}),
        ("thing-6", {"partition": "shop:2026112414:0", "index": 3, "kind": "edited"}),
        ("thing-8", {"partition": "shop:2026112416:0", "index": 1, "kind": "edited"}),
    ],
)
async def test_an_edited_record_is_named(trail: Trail, subject: str, fault: dict[str, Any]) -> None:
    await _a_day(trail)
    trail.entry(subject)["actor"] = "nobody"

    assert (await trail.verify())["faults"] == [fault]


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("thing-1", {"partition": "shop:2026112412:0", "index": 1, "kind": "misplaced"}),
        ("thing-2", {"partition": "shop:2026112412:0", "index": 2, "kind": "truncated"}),
        ("thing-8", {"partition": "shop:2026112416:0", "index": 1, "kind": "truncated"}),
    ],
)
async def test_a_removed_record_is_missed(trail: Trail, subject: str, fault: dict[str, Any]) -> None:
    await _a_day(trail)
    trail.remove(subject)

    assert (await trail.verify())["faults"] == [fault]


async def test_records_that_changed_places_are_named(trail: Trail) -> None:
    await _a_day(trail)
    first, second = trail.entry("thing-3"), trail.entry("thing-4")
    first["sequence"], second["sequence"] = second["sequence"], first["sequence"]

    [fault] = (await trail.verify())["faults"]

    assert (fault["partition"], fault["index"]) == ("shop:2026112414:0", 0)


async def test_an_hour_removed_with_its_head_is_missed_by_the_next(trail: Trail) -> None:
    await _a_day(trail)
    documents = trail.world.database.container(CONTAINER).documents
    for place in [place for place in documents if place[0] == "shop:2026112414:0"]:
        del documents[place]

    assert (await trail.verify())["faults"] == [{"partition": "shop:2026112414:0", "index": 0, "kind": "truncated"}]


async def test_what_has_expired_is_not_missed(trail: Trail) -> None:
    await _a_day(trail)
    trail.world.clock.advance(timedelta(days=89, hours=19))  # the first hour is 90 days ago, the others not yet
    documents = trail.world.database.container(CONTAINER).documents
    for place in [place for place in documents if place[0] == "shop:2026112412:0"]:
        del documents[place]

    assert await trail.verify() == {"tenant": TENANT, "partitions": 2, "entries": 6, "faults": []}


async def test_a_tenants_policy_is_not_replaced_without_an_entry(world: World, call: Any, trail: Trail) -> None:
    route = {"tenant": TENANT}
    read = await call(tenant_policies.read_tenant_policy, token=READER, route=route)
    headers = {"If-Match": read.headers["ETag"]}
    writer = "Bearer chief/Operations.Write"
    body = json.dumps({"mode": "shadow"}).encode()

    answer = await call(tenant_policies.replace_tenant_policy, body, token=writer, headers=headers, route=route)

    [entry] = (await trail.ask(audit.read_audit, action="tenant_policy.replace"))["entries"]
    assert answer.status_code == 200
    assert (entry["actor"], entry["subject"]) == ("chief", TENANT)
    assert entry["detail"]["policy"]["mode"] == "shadow"
    assert entry["detail"]["replaces"] == read.headers["ETag"]


async def test_a_policy_stays_when_the_audit_trail_can_not_be_written(world: World, call: Any) -> None:
    read = await call(tenant_policies.read_tenant_policy, token=READER, route={"tenant": "shop"})
    headers = {"If-Match": read.headers["ETag"]}
    world.database.away = True

    answer = await call(
        tenant_policies.replace_tenant_policy, b'{"mode": "shadow"}', token="Bearer a/Operations.Write",
        headers=headers, route={"tenant": "shop"},
    )  # fmt: skip

    assert answer.status_code == 503
    assert not world.policies.stored
