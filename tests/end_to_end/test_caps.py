"""What an operator caps is capped, seen from the provider's side."""

import subprocess
import sys
from typing import Any

import pytest

from local_azure.entra.identities import CLIENT_IDS
from tests.end_to_end.conftest import ROOT, Client, Stack, eventually

pytestmark = pytest.mark.end_to_end
CAPPED = "marketing"  # a tenant that no other test sends for


def token_of(stack: Stack, client: str) -> dict[str, str]:
    command = [sys.executable, "-m", "local_azure.entra", "token", "--data", str(stack.data / "entra")]
    command += ["--port", str(7073 + stack.offset), "--client", client]
    name, _, value = subprocess.check_output(command, cwd=ROOT, text=True).strip().partition(": ")
    return {name: value}


def an_sms(number: str, category: str) -> dict[str, Any]:
    return {
        "recipient": {"customerId": "cust-1", "phone": number},
        "channels": ["sms"],
        "content": {"sms": {"text": "Sale!"}},
        "category": category,
        "priority": "high",
    }


async def test_caps_of_a_policy_hold_over_the_real_store(client: Client, stack: Stack) -> None:
    operator = token_of(stack, "operator")
    consumer = token_of(stack, CAPPED)
    path = f"/tenant-policies/{CLIENT_IDS[CAPPED]}"
    version = (await client.call("GET", path, headers=operator)).headers["ETag"]
    policy = {
        "smsCountries": ["49"],
        "frequencyCaps": {"sms": {"sends": 2, "perSeconds": 86_400}},
        "dailySpendMicros": 600_000,
        "maxSmsPerPrefixPerMinute": 100,
    }
    replaced = await client.call("PUT", path, json=policy, headers=operator | {"If-Match": version})
    assert replaced.status == 200, replaced

    async def sent(*requests: dict[str, Any]) -> list[tuple[str, str | None]]:
        body = {"notifications": list(requests)}
        answer = await client.call("POST", "/notifications/batch", json=body, headers=consumer)
        ids.extend(item["trackingId"] for item in answer.json["items"])

        async def settled() -> list[tuple[str, str | None]] | None:
            views = [
                (await client.call("GET", f"/notifications/{each}", headers=consumer)).json
                for each in ids[-len(requests) :]
            ]
            found = [(view["deliveries"][0]["status"], view["deliveries"][0].get("reason")) for view in views]
            return None if any(status in {"queued", "sending", "retrying"} for status, _ in found) else found

        return await eventually(settled, 30, "all are sent or suppressed")

    ids: list[str] = []
    marketing = await sent(*(an_sms("+4915112345678", "marketing") for _ in range(4)))
    abroad = await sent(an_sms("+18765550123", "security"))
    codes = await sent(*(an_sms("+4915112345678", "security") for _ in range(8)))

    assert marketing.count(("suppressed", "frequency_cap")) == 2
    assert abroad == [("suppressed", "country_not_allowed")]
    assert codes.count(("suppressed", "spend_cap")) == 5
    calls = [call for each in ids for call in await client.provider_calls(each)]
    assert len(calls) == 5  # 105,000 millionths each, by the built-in book
