"""A provider's limit holds, seen from the provider's side."""

import json
from datetime import datetime

import pytest

from tests.end_to_end.conftest import SMS_A_SECOND, Client, Stack, eventually, to

pytestmark = pytest.mark.end_to_end
COUNT = 120


async def test_burst_reaches_the_provider_at_its_pace_and_completely(client: Client, stack: Stack) -> None:
    items = [to("sms", stack) | {"reference": f"pace {number}"} for number in range(COUNT)]
    answer = await client.call("POST", "/notifications/batch", json={"notifications": items})
    wanted = {item["trackingId"] for item in answer.json["items"]}

    async def all_called() -> list[datetime] | None:
        async with client.session.get(client.stack.sandbox + "/ledger") as ledger:
            calls = [json.loads(line) for line in (await ledger.text()).splitlines()]
        mine = [call for call in calls if (call["attemptId"] or "..").split(".")[1] in wanted]
        return [datetime.fromisoformat(call["at"]) for call in mine] if len(mine) == COUNT else None

    instants = sorted(await eventually(all_called, 60, f"{COUNT} calls"))

    windows = zip(instants, instants[SMS_A_SECOND:], strict=False)
    assert all((later - earlier).total_seconds() >= 1 for earlier, later in windows)
    for tracking_id in list(wanted)[::20]:
        await client.view_when(tracking_id, "delivered")
