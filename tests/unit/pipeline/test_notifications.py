import json
from dataclasses import replace

import pytest

from shared.domain.errors import InDoubt, NotFound, Transient
from shared.domain.identifiers import TenantId
from shared.domain.receipt import ReceiptKind
from shared.pipeline.notifications import read_status
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, CALLER, World, a_request


async def test_a_fresh_notification_is_accepted() -> None:
    world = World()
    done = await world.submit(a_request(reference="r-1", metadata={"team": "a"}))

    shown = json.loads((await read_status(done.tracking_id, CALLER, world.services)).to_json())

    assert (shown["status"], shown["reference"], shown["metadata"]) == ("accepted", "r-1", {"team": "a"})
    assert shown["deliveries"] == [{"channel": "email", "status": "queued", "attempts": []}]
    assert shown["links"] == {"self": f"/api/v1/notifications/{done.tracking_id}"}


def test_the_story_of_a_delivery_is_told_with_its_attempts_and_history() -> None:
    async def scene() -> None:
        world = World()
        world.email.script = [Transient("http_503"), InDoubt("timeout")]
        done = await world.submit()
        await RealWorld(world, ReceiptKind.DELIVERED).quiesce()

        shown = json.loads((await read_status(done.tracking_id, CALLER, world.services)).to_json())

        [delivery] = shown["deliveries"]
        assert (shown["status"], delivery["inDoubt"]) == ("delivered", True)
        assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["transient", "indoubt", "sent"]
        assert [entry["status"] for entry in shown["history"]] == [
            "retrying", "in_doubt", "retrying", "sent", "delivered",
        ]  # fmt: skip

    run_virtually(scene())


async def test_the_view_repeats_neither_address_nor_content_nor_data() -> None:
    world = World()
    done = await world.submit(a_request(data={"secret": "4711"}))

    shown = (await read_status(done.tracking_id, CALLER, world.services)).to_json()

    for secret in (ADDRESS, "on its way", "Your order", "4711"):
        assert secret.encode() not in shown


@pytest.mark.parametrize("tracking_id", ["", "nonsense", "01M86PTPG0FM4ZR32P5GKMSV2T", "key-abc", "../x"])
async def test_what_is_not_there_is_not_found(tracking_id: str) -> None:
    with pytest.raises(NotFound):
        await read_status(tracking_id, CALLER, World().services)


async def test_another_tenants_notification_is_not_there() -> None:
    world = World()
    done = await world.submit()

    with pytest.raises(NotFound):
        await read_status(done.tracking_id, replace(CALLER, tenant_id=TenantId("bank")), world.services)
