import json
from typing import Any

import pytest

from functions import tenant_policies
from shared.domain.tenant_policy import FrequencyCap, Mode, ProviderShare, TenantPolicy
from shared.pipeline.tenant_policies import MAX_POLICY_BYTES
from tests.fakes.world import World

READER, WRITER = "Bearer ops/Operations.Read", "Bearer ops/Operations.Write"
FULL = {
    "mode": "shadow",
    "livePercent": 20,
    "providers": {"sms": [{"name": "fake-sms", "weight": 90}]},
    "preferCheapest": True,
    "sendsPerSecond": 10,
    "requestsPerSecond": 2.5,
    "requestsPerDay": 50_000,
    "smsCountries": ["1", "49"],
    "dailySpendMicros": 5_000_000,
    "frequencyCaps": {"push": {"sends": 3, "perSeconds": 3600}},
    "maxSmsPerPrefixPerMinute": 5,
}


class Operators:
    """Reads and replaces one tenant's policy over HTTP."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def read(self, tenant: str = "shop", token: str = READER) -> Any:
        return await self._call(tenant_policies.read_tenant_policy, token=token, route={"tenant": tenant})

    async def replace(self, body: Any, if_match: str | None, tenant: str = "shop", token: str = WRITER) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"If-Match": if_match} if if_match else {}
        builder = tenant_policies.replace_tenant_policy
        return await self._call(builder, raw, token=token, headers=headers, route={"tenant": tenant})


@pytest.fixture
def operators(world: World, call: Any) -> Operators:
    return Operators(call)


async def test_where_nothing_was_decided_the_defaults_are_told(operators: Operators) -> None:
    answer = await operators.read()

    assert answer.status_code == 200
    assert json.loads(answer.get_body()) == {
        "mode": "live", "livePercent": 100, "providers": {}, "preferCheapest": False, "frequencyCaps": {},
    }  # fmt: skip


async def test_a_decision_holds_and_can_be_read_changed_and_put_back(world: World, operators: Operators) -> None:
    first = await operators.replace(FULL, (await operators.read()).headers["ETag"])
    read = await operators.read()
    back = await operators.replace(json.loads(read.get_body()) | {"mode": "live"}, read.headers["ETag"])

    assert (first.status_code, first.headers["ETag"]) == (200, read.headers["ETag"])
    assert json.loads(read.get_body()) == FULL
    assert json.loads(back.get_body()) == FULL | {"mode": "live"}
    assert world.policies.stored["shop"].policy.frequency_caps["push"].per.total_seconds() == 3600


async def test_every_field_reaches_the_policy(world: World, operators: Operators) -> None:
    await operators.replace(FULL, (await operators.read()).headers["ETag"])

    policy = world.policies.stored["shop"].policy
    assert (policy.mode, policy.live_percent, policy.prefer_cheapest) == (Mode.SHADOW, 20, True)
    assert policy.providers == {"sms": (ProviderShare("fake-sms", 90),)}
    assert (policy.sends_per_second, policy.requests_per_second) == (10, 2.5)
    assert policy.requests_per_day == 50_000
    assert (policy.sms_countries, policy.daily_spend) == (frozenset({"1", "49"}), 5_000_000)
    assert isinstance(policy.frequency_caps["push"], FrequencyCap)
    assert policy.max_sms_per_prefix_per_minute == 5


async def test_of_two_operators_who_read_the_same_the_second_is_told(operators: Operators) -> None:
    seen = (await operators.read()).headers["ETag"]
    await operators.replace(FULL, seen)

    late = await operators.replace({}, seen)

    assert (late.status_code, json.loads(late.get_body())["type"]) == (
        412,
        "https://cns.example/problems/version-changed",
    )
    assert json.loads((await operators.read()).get_body()) == FULL


async def test_a_version_must_be_named(world: World, operators: Operators) -> None:
    answer = await operators.replace(FULL, None)

    assert answer.status_code == 428
    assert world.policies.stored == {}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"mode": "off"}, "/mode"),
        ({"livePercent": 101}, "/livePercent"),
        ({"livePercent": "50"}, "/livePercent"),
        ({"livePercent": True}, "/livePercent"),
        ({"live_percent": 50}, "/live_percent"),
        ({"providers": {"fax": [{"name": "fake-sms"}]}}, "/providers/fax"),
        ({"providers": {"sms": []}}, "/providers/sms"),
        ({"providers": {"sms": [{"name": "fake-email"}]}}, "/providers/sms/0/name"),
        ({"providers": {"sms": [{"name": "fake-sms"}, {"name": "fake-sms"}]}}, ""),
        ({"providers": {"sms": [{"name": "fake-sms", "weight": 0}]}}, ""),
        ({"providers": {"sms": [{"name": "fake-sms", "weight": -1}]}}, "/providers/sms/0/weight"),
        ({"sendsPerSecond": 0}, "/sendsPerSecond"),
        ({"requestsPerSecond": 1e9}, "/requestsPerSecond"),
        ({"smsCountries": ["+49"]}, "/smsCountries/0"),
        ({"dailySpendMicros": -1}, "/dailySpendMicros"),
        ({"dailySpendMicros": 1.5}, "/dailySpendMicros"),
        ({"frequencyCaps": {"push": {"sends": 0, "perSeconds": 60}}}, "/frequencyCaps/push/sends"),
        ({"frequencyCaps": {"push": {"sends": 1}}}, "/frequencyCaps/push/perSeconds"),
        ({"maxSmsPerPrefixPerMinute": 0}, "/maxSmsPerPrefixPerMinute"),
        ({"isAssumed": True}, "/isAssumed"),
        ([], ""),
    ],
)
async def test_what_cant_be_meant_is_refused_by_its_pointer(operators: Operators, body: Any, pointer: str) -> None:
    answer = await operators.replace(body, (await operators.read()).headers["ETag"])

    assert answer.status_code == 422
    assert [error["pointer"] for error in json.loads(answer.get_body())["errors"]] == [pointer]


async def test_what_is_no_json_or_too_large_is_refused(operators: Operators) -> None:
    etag = (await operators.read()).headers["ETag"]

    assert (await operators.replace(b"{", etag)).status_code == 422
    assert (await operators.replace(b" " * (MAX_POLICY_BYTES + 1), etag)).status_code == 413


@pytest.mark.parametrize("tenant", ["", "a b", "../x", "x" * 129, "ä"])
async def test_a_name_no_tenant_has_is_not_found(operators: Operators, tenant: str) -> None:
    assert (await operators.read(tenant)).status_code == 404
    assert (await operators.replace({}, '"x"', tenant)).status_code == 404


async def test_reading_and_writing_need_their_own_roles(operators: Operators) -> None:
    assert (await operators.read(token=WRITER)).status_code == 403
    assert (await operators.replace({}, '"x"', token=READER)).status_code == 403


async def test_policies_of_tenants_are_apart(world: World, operators: Operators) -> None:
    await operators.replace(FULL, (await operators.read("shop")).headers["ETag"], "shop")

    assert json.loads((await operators.read("bank")).get_body())["mode"] == "live"
    assert await world.policies.find("bank") == TenantPolicy()  # type: ignore[arg-type]
