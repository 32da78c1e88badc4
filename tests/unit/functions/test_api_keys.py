"""Keys from the outside: made, used, rotated, revoked over HTTP, in one process and in several."""

import json
from datetime import timedelta
from typing import Any

import pytest

from functions import api_keys, callback_endpoints, notifications, submit
from shared.adapters.cosmos_api_keys import CONTAINER
from shared.domain.api_key import MAX_KEYS, KeyKind, new_key
from shared.pipeline.known_keys import FRESH_FOR_SECONDS, STALE_FOR_SECONDS, UNKNOWN_A_SECOND
from tests.fakes.real_world import RealWorld
from tests.fakes.world import ADDRESS, World, a_body

ADMIN = "Bearer shop/ApiKeys.Write,Notifications.Send,Notifications.Read"
OPERATOR = "Bearer ops/ApiKeys.Write,Operations.Write"
BOTH = ["Notifications.Send", "Notifications.Read"]


class Keys:
    """Administers keys and uses them."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def make(self, token: str = ADMIN, **fields: Any) -> Any:
        body = {"name": "orders", "kind": "live", "roles": BOTH} | fields
        return await self.call(api_keys.create_api_key, json.dumps(body).encode(), token=token)

    async def made(self, token: str = ADMIN, **fields: Any) -> dict[str, Any]:
        answer = await self.make(token, **fields)
        assert answer.status_code == 201, answer.get_body()
        return json.loads(answer.get_body())

    async def act(self, builder: Any, key_id: str, body: Any = None, token: str = ADMIN) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        return await self.call(builder, raw, token=token, route={"id": key_id})

    async def listed(self, token: str = ADMIN, **query: str) -> Any:
        return await self.call(api_keys.list_api_keys, token=token, query=query)

    async def use(self, key: str, builder: Any = callback_endpoints.list_callback_endpoints) -> int:
        return (await self.call(builder, token=f"Bearer {key}")).status_code

    async def send(self, key: str, headers: dict[str, str] | None = None, **changes: Any) -> Any:
        body = json.dumps(a_body(**changes)).encode()
        return await self.call(submit.submit_notification, body, token=f"Bearer {key}", headers=headers, starter="{}")


@pytest.fixture
def keys(world: World, call: Any) -> Keys:
    return Keys(call)


async def test_a_key_is_shown_once_and_kept_as_a_hash(world: World, keys: Keys) -> None:
    made = await keys.made()
    listed = json.loads((await keys.listed()).get_body())["keys"]

    assert made["key"].startswith("cns_live_")
    assert [each["id"] for each in listed] == [made["id"]]
    assert "key" not in listed[0]
    kept = json.dumps([*world.database.container(CONTAINER).documents.values()])
    assert made["key"] not in kept
    assert made["key"][9 + 12 : -6] not in kept


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer {}"}, {"x-api-key": "{}"}, {"authorization": "bearer {}"}]
)
async def test_a_key_opens_what_its_roles_open(world: World, keys: Keys, headers: dict[str, str]) -> None:
    key = (await keys.made(roles=["Notifications.Read"]))["key"]
    shown = {name: value.format(key) for name, value in headers.items()}

    reading = await keys.call(callback_endpoints.list_callback_endpoints, token=None, headers=shown)
    sending = await keys.call(submit.submit_notification, b"{}", token=None, headers=shown, starter="{}")

    assert (reading.status_code, sending.status_code) == (200, 403)


async def test_two_credentials_at_once_are_none(keys: Keys) -> None:
    key = (await keys.made())["key"]

    answer = await keys.call(callback_endpoints.list_callback_endpoints, headers={"x-api-key": key})

    assert answer.status_code == 401


async def test_what_is_sent_with_a_key_is_the_tenants(world: World, keys: Keys) -> None:
    answer = await keys.send((await keys.made())["key"])

    assert answer.status_code == 202
    assert world.notifications[0].tenant_id == "shop"
    assert not world.notifications[0].is_test


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"kind": "root"}, "/kind"),
        ({"roles": []}, "/roles"),
        ({"roles": ["Operations.Write"]}, "/roles/0"),
        ({"roles": ["ApiKeys.Write"]}, "/roles/0"),
        ({"roles": ["Templates.Admin"]}, "/roles/0"),
        ({"name": "a\u202eb"}, "/name"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "/expiresAt"),
        ({"expiresAt": "2036-01-01T00:00:00Z"}, "/expiresAt"),
        ({"kind": "team"}, ""),
        ({"recipients": [ADDRESS]}, ""),
        ({"kind": "team", "recipients": []}, "/recipients"),
        ({"kind": "team", "recipients": ["x"] * 101}, "/recipients"),
        ({"secret": "mine"}, "/secret"),
    ],
    ids=str,
)
async def test_a_key_that_can_not_be_meant_is_refused(
    world: World, keys: Keys, fields: dict[str, Any], pointer: str
) -> None:
    answer = await keys.make(**fields)

    assert answer.status_code == 422
    assert pointer in {error["pointer"] for error in json.loads(answer.get_body())["errors"]}
    assert world.database.container(CONTAINER).documents == {}


async def test_a_tenant_has_so_many_keys_and_no_more(keys: Keys) -> None:
    for _ in range(MAX_KEYS):
        made = await keys.made()

    assert (await keys.make()).status_code == 422
    await keys.act(api_keys.revoke_api_key, made["id"])
    assert (await keys.make()).status_code == 201


async def test_an_operator_makes_keys_for_any_tenant_and_nobody_else_does(keys: Keys) -> None:
    made = await keys.made(OPERATOR, tenant="bank")

    assert made["tenant"] == "bank"
    assert (await keys.make(ADMIN, tenant="bank")).status_code == 403
    assert (await keys.listed(ADMIN, tenant="bank")).status_code == 403
    assert json.loads((await keys.listed(ADMIN)).get_body())["keys"] == []
    assert len(json.loads((await keys.listed(OPERATOR, tenant="bank")).get_body())["keys"]) == 1


@pytest.mark.parametrize("key_id", ["other", "x", "a" * 12, "../a", ""])
async def test_another_tenants_key_is_not_there(keys: Keys, key_id: str) -> None:
    made = await keys.made(OPERATOR, tenant="bank")
    name = made["id"] if key_id == "other" else key_id

    for builder, body in (
        (api_keys.rotate_api_key, {}),
        (api_keys.revoke_api_key, None),
        (api_keys.replace_api_key_recipients, {"recipients": ["a"]}),
    ):
        assert (await keys.act(builder, name, body)).status_code == 404
    assert await keys.use(made["key"]) == 200


async def test_no_key_administers_keys(keys: Keys) -> None:
    key = (await keys.made())["key"]

    assert await keys.use(key, api_keys.list_api_keys) == 403


async def test_a_revoked_key_is_refused_at_once_here_and_in_half_a_minute_elsewhere(world: World, keys: Keys) -> None:
    made = await keys.made()
    elsewhere = world.fresh_process()
    assert await keys.use(made["key"]) == 200
    assert (await elsewhere.known_keys.verify(made["key"])).tenant_id == "shop"

    assert (await keys.act(api_keys.revoke_api_key, made["id"])).status_code == 204
    assert (await keys.act(api_keys.revoke_api_key, made["id"])).status_code == 204

    assert await keys.use(made["key"]) == 401
    world.services = elsewhere
    world.clock.advance(timedelta(seconds=FRESH_FOR_SECONDS))
    assert await keys.use(made["key"]) == 401


async def test_a_rotated_key_works_with_both_secrets_for_the_overlap(world: World, keys: Keys) -> None:
    made = await keys.made()
    await keys.use(made["key"])

    rotated = json.loads((await keys.act(api_keys.rotate_api_key, made["id"], {"overlapHours": 1})).get_body())

    assert (rotated["id"], await keys.use(rotated["key"]), await keys.use(made["key"])) == (made["id"], 200, 200)
    world.clock.advance(timedelta(hours=1))
    assert (await keys.use(rotated["key"]), await keys.use(made["key"])) == (200, 401)


async def test_an_expired_key_is_refused_and_can_not_be_rotated(world: World, keys: Keys) -> None:
    made = await keys.made()
    world.clock.advance(timedelta(days=365))

    assert await keys.use(made["key"]) == 401
    assert (await keys.act(api_keys.rotate_api_key, made["id"], {})).status_code == 422


async def test_last_use_is_noted_once_a_minute_by_all_processes_together(world: World, keys: Keys) -> None:
    key = (await keys.made())["key"]
    other = world.fresh_process()
    container = world.database.container(CONTAINER)
    etags = set()
    for _ in range(20):  # 100 seconds
        await keys.use(key)
        await other.known_keys.verify(key)
        etags |= {document["_etag"] for document in container.documents.values()}
        world.clock.advance(timedelta(seconds=5))

    assert len(etags) == 2
    assert "lastUsedAt" in json.loads((await keys.listed()).get_body())["keys"][0]


async def test_a_key_costs_no_look_into_the_store_while_it_is_fresh(world: World, keys: Keys) -> None:
    key = (await keys.made())["key"]
    await keys.use(key)
    world.database.container(CONTAINER).away = True

    world.clock.advance(timedelta(seconds=FRESH_FOR_SECONDS - 1))
    assert await keys.use(key) == 200


async def test_while_the_store_is_away_known_keys_hold_for_two_minutes_and_new_ones_are_told_to_wait(
    world: World, keys: Keys
) -> None:
    key, other = (await keys.made())["key"], (await keys.made())["key"]
    await keys.use(key)
    world.database.container(CONTAINER).away = True

    world.clock.advance(timedelta(seconds=STALE_FOR_SECONDS - 1))
    assert (await keys.use(key), await keys.use(other)) == (200, 503)
    world.clock.advance(timedelta(seconds=10))
    assert await keys.use(key) == 503


async def test_a_flood_of_made_up_keys_costs_few_looks_and_disturbs_no_known_one(world: World, keys: Keys) -> None:
    key = (await keys.made())["key"]
    await keys.use(key)
    answers = [await keys.use(new_key(KeyKind.LIVE)[1]) for _ in range(3 * UNKNOWN_A_SECOND)]

    assert answers.count(401) == UNKNOWN_A_SECOND - 1  # the known one was looked up, too
    assert answers.count(429) == 2 * UNKNOWN_A_SECOND + 1
    assert await keys.use(key) == 200


@pytest.mark.parametrize("presented", ["cns_", "cns_live_", "cns_live_" + "a" * 50, "cns_live_\x00", "cns_x" * 999])
async def test_what_looks_like_a_key_and_is_none_is_refused_without_a_look(
    world: World, keys: Keys, presented: str
) -> None:
    world.database.container(CONTAINER).away = True

    assert await keys.use(presented) == 401


async def test_every_act_stands_in_the_audit_trail_without_secrets_or_addresses(world: World, keys: Keys) -> None:
    made = await keys.made(kind="team", recipients=[ADDRESS])
    await keys.act(api_keys.rotate_api_key, made["id"], {})
    await keys.act(api_keys.replace_api_key_recipients, made["id"], {"recipients": [ADDRESS]})
    await keys.act(api_keys.revoke_api_key, made["id"])

    trail = json.dumps([*world.database.container("audit-logs").documents.values()])
    for action in ("create", "rotate", "recipients", "revoke"):
        assert f"api_key.{action}" in trail
    everything = trail + json.dumps([*world.database.container(CONTAINER).documents.values()])
    assert made["key"] not in everything
    assert ADDRESS not in everything


async def test_a_team_key_sends_to_its_list_only(world: World, keys: Keys) -> None:
    key = (await keys.made(kind="team", recipients=["ADA@example.com", "+4915112345678"]))["key"]

    listed = await keys.send(key)
    stranger = await keys.send(
        key,
        recipient={"email": "eve@example.com", "phone": "+4915112345678"},
        channels=["email", "sms"],
        content={"email": {"subject": "Hi", "text": "x"}, "sms": {"text": "x"}},
    )

    assert (listed.status_code, stranger.status_code) == (202, 422)
    assert [error["pointer"] for error in json.loads(stranger.get_body())["errors"]] == ["/recipient/email"]
    assert b"eve@" not in stranger.get_body()
    assert len(world.notifications) == 1


async def test_a_new_list_replaces_the_old_one(world: World, keys: Keys) -> None:
    made = await keys.made(kind="team", recipients=["eve@example.com"])
    assert (await keys.send(made["key"])).status_code == 422

    await keys.act(api_keys.replace_api_key_recipients, made["id"], {"recipients": [ADDRESS]})

    assert (await keys.send(made["key"])).status_code == 202
    live = await keys.made()
    answer = await keys.act(api_keys.replace_api_key_recipients, live["id"], {"recipients": [ADDRESS]})
    assert answer.status_code == 422


async def test_a_test_key_calls_no_provider_and_gets_the_whole_story(world: World, keys: Keys) -> None:
    key = (await keys.made(kind="test"))["key"]
    answer = json.loads((await keys.send(key)).get_body())

    await RealWorld(world).quiesce()

    read = await keys.call(
        notifications.read_notification, token=f"Bearer {key}", route={"trackingId": answer["trackingId"]}
    )
    told = json.loads(read.get_body())
    assert world.email.ledger == []
    assert (told["test"], told["status"], told["deliveries"][0]["provider"]) == (True, "delivered", "simulated")
    assert [entry["status"] for entry in told["history"]][-1] == "delivered"


async def test_a_test_and_the_real_thing_may_use_the_same_idempotency_key(world: World, keys: Keys) -> None:
    test, live = (await keys.made(kind="test"))["key"], (await keys.made())["key"]
    headers = {"idempotency-key": "order-1"}

    answers = [await keys.send(key, headers) for key in (test, live, test, live)]

    ids = [json.loads(answer.get_body())["trackingId"] for answer in answers]
    assert ids[0] == ids[2] != ids[1] == ids[3]
    assert (await keys.send(test, {"idempotency-key": ""})).status_code == 400
