"""What a consumer sees while the store, the broker or the host is away: nothing is lost and nothing is doubled."""

import asyncio
import uuid

import pytest

from tests.end_to_end.conftest import Client, email, eventually

pytestmark = pytest.mark.end_to_end


async def test_store_that_refuses_means_503_and_nothing_stored(client: Client) -> None:
    faults = client.stack.url(8081, "/_emulator/faults")
    before = (await client.call("GET", client.stack.sandbox + "/ledger/summary")).json
    await client.call("POST", faults, json={"container": "notification-tracking", "status": 503})
    try:
        answer = await client.submit(email("nothing-happened@example.com"))
    finally:
        await client.call("DELETE", faults)

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    tracking_id = await client.accepted(email())
    await client.view_when(tracking_id, "delivered")
    after = (await client.call("GET", client.stack.sandbox + "/ledger/summary")).json
    assert before != after
    async with client.session.get(client.stack.sandbox + "/ledger") as ledger:
        assert "nothing-happened" not in await ledger.text()


async def test_broker_that_is_away_means_202_and_delivery_when_it_is_back(client: Client) -> None:
    faults = client.stack.url(5300, "/faults")
    await client.call("POST", faults, json={"kind": "refuse-connections"})
    await client.call("POST", faults, json={"kind": "drop-connections"})
    try:
        tracking_id = await client.accepted(email())
        view = await client.view(tracking_id)
    finally:
        await client.call("DELETE", faults)

    assert view["status"] == "accepted"
    await client.view_when(tracking_id, "delivered", within=60)
    assert len(await client.provider_calls(tracking_id)) == 1


async def test_killed_parts_lose_nothing(client: Client) -> None:
    """SIGKILL of host, broker and store while a thousand are under way; see bench/outside.py for the long campaign."""
    accepted: list[str] = []

    async def submit(number: int) -> None:
        body = {"notifications": [email(f"kill{number}-{each}@example.com") for each in range(50)]}
        key = {"Idempotency-Key": str(uuid.uuid4())}

        async def try_once() -> bool:
            try:
                answer = await client.call("POST", "/notifications/batch", json=body, headers=key)
            except OSError:
                return False
            if answer.status != 202:
                return False
            accepted.extend(item["trackingId"] for item in answer.json["items"])
            return True

        await eventually(try_once, 60, "the batch is accepted")

    submitting = asyncio.gather(*map(submit, range(10)))
    for part in ("functions_host", "servicebus", "cosmos"):
        client.stack.kill(part)
        await asyncio.sleep(0.5)
    await submitting

    async def all_settled() -> bool:
        try:
            views = await asyncio.gather(*map(client.view, accepted))
        except (OSError, AssertionError):
            return False
        return all(view["status"] in {"sent", "delivered"} for view in views)

    assert len(set(accepted)) == 500
    await eventually(all_settled, 180, "everything accepted is sent")
    summary = (await client.call("GET", client.stack.sandbox + "/ledger/summary")).json
    assert summary["duplicates"]["seen"]["count"] == 0, summary
