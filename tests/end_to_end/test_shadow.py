"""Operators put a tenant into the shadow and bring it back, on the running service."""

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from local_azure.entra.identities import CLIENT_IDS
from tests.end_to_end.conftest import ROOT, Client, Stack, email

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def authorization(stack: Stack) -> str:
    """The credential of a consumer of its own, so that nobody else is put into the shadow."""
    command = [sys.executable, "-m", "local_azure.entra", "token", "--data", str(stack.data / "entra")]
    command += ["--port", str(7073 + stack.offset), "--client", "orders"]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip().partition(": ")[2]


@pytest.fixture
async def orders(stack: Stack, authorization: str) -> AsyncIterator[Client]:
    headers = {"Authorization": authorization}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(session, stack)


async def _decide(operator: Client, **policy: Any) -> None:
    path = f"/tenant-policies/{CLIENT_IDS['orders']}"
    read = await operator.call("GET", path)
    answer = await operator.call("PUT", path, json=policy, headers={"If-Match": read.headers["ETag"]})
    assert answer.status == 200, answer


async def test_a_tenant_in_the_shadow_is_recorded_and_not_sent_to_until_it_is_live(
    client: Client, orders: Client
) -> None:
    await _decide(client, mode="shadow")
    withheld = await orders.submit(email(), Prefer="wait=15")
    await _decide(client, mode="live")
    sent = await orders.accepted(email())

    view = await orders.view_when(sent, "delivered")

    assert (withheld.status, withheld.json["status"]) == (200, "suppressed")
    assert withheld.json["deliveries"][0]["reason"] == "shadow_mode"
    assert await client.provider_calls(withheld.json["trackingId"]) == []
    assert len(await client.provider_calls(view["trackingId"])) == 1
