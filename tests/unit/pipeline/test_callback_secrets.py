"""Secrets rotate with an overlap: during it either secret verifies, afterwards and after a revocation the old does not.

``standardwebhooks`` stands in for consumers, as an independent reading of the specification; where the test's clock is
not the wall's, which it looks at, its signature is compared instead of asking it to verify.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from shared.contracts.callback_payload import CallbackBatch, CallbackItem
from shared.domain.errors import InvalidSubmission, NotFound
from shared.pipeline.callback_endpoints import read_endpoint, register_endpoint, revoke_secret, rotate_secret
from shared.pipeline.callbacks import send_callbacks
from tests.fakes.callback_consumer import Call
from tests.fakes.clock import START
from tests.fakes.world import CALLER, TENANT, World

ENDPOINT = json.dumps({"url": "https://consumer.example/hook", "statuses": ["*"]}).encode()


class Consumer:
    """A world with one endpoint; ``heard`` is who can verify the newest callback."""

    def __init__(self) -> None:
        self.world = World()
        self.number = 0

    async def register(self) -> tuple[str, str]:
        view = await register_endpoint(ENDPOINT, CALLER, self.world.services)
        assert view.secret
        self.id = view.id
        return view.id, view.secret

    async def rotate(self, hours: int) -> str:
        body = json.dumps({"overlapHours": hours}).encode()
        view = await rotate_secret(self.id, body, CALLER, self.world.services)
        assert view.secret
        return view.secret

    async def heard_with(self, *secrets: str) -> list[bool]:
        self.number += 1
        item = CallbackItem(tracking_id=f"01{self.number}", channel="email", status="SENT", at=START)
        batch = CallbackBatch(tenant_id=TENANT, partition_key="shop:1", endpoint_id=self.id, items=[item])
        await send_callbacks(batch, self.world.services)
        return [verifies(secret, self.world.callback_client.calls[-1]) for secret in secrets]


def verifies(secret: str, call: Call) -> bool:
    signed_at = datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), UTC)
    expected = Webhook(secret).sign(call.headers["webhook-id"], signed_at, call.body.decode())
    return expected in call.headers["webhook-signature"].split(" ")


async def test_an_independent_library_accepts_a_callback_whole() -> None:
    consumer = Consumer()
    consumer.world.clock.advance_to(datetime.now(UTC))
    _, secret = await consumer.register()
    await consumer.heard_with()

    call = consumer.world.callback_client.calls[-1]
    told = Webhook(secret).verify(call.body, dict(call.headers))

    assert told["data"]["status"] == "SENT"


async def test_during_the_overlap_either_secret_verifies_and_afterwards_only_the_new_one() -> None:
    consumer = Consumer()
    _, old = await consumer.register()
    assert await consumer.heard_with(old) == [True]

    new = await consumer.rotate(hours=2)

    heard = [await consumer.heard_with(old, new)]
    consumer.world.clock.advance(timedelta(hours=1, minutes=59))
    heard.append(await consumer.heard_with(old, new))
    consumer.world.clock.advance(timedelta(minutes=1))
    heard.append(await consumer.heard_with(old, new))
    assert heard == [[True, True], [True, True], [False, True]]


async def test_the_new_secret_is_handed_out_once_every_process_signs_with_it() -> None:
    consumer = Consumer()
    await consumer.register()

    await consumer.rotate(hours=24)

    assert consumer.world.endpoints.waited_for == 1


async def test_without_an_overlap_the_old_secret_is_revoked_at_once() -> None:
    consumer = Consumer()
    _, old = await consumer.register()

    new = await consumer.rotate(hours=0)

    assert await consumer.heard_with(old, new) == [False, True]


async def test_a_secret_that_is_compromised_during_the_overlap_can_be_revoked() -> None:
    consumer = Consumer()
    endpoint_id, old = await consumer.register()
    new = await consumer.rotate(hours=24)
    shown = await read_endpoint(endpoint_id, CALLER, consumer.world.services)
    assert [each.valid_until for each in shown.secrets] == [None, START + timedelta(hours=24)]

    after = await revoke_secret(endpoint_id, shown.secrets[1].id, CALLER, consumer.world.services)

    assert [each.id for each in after.secrets] == [shown.secrets[0].id]
    assert await consumer.heard_with(old, new) == [False, True]


async def test_the_current_secret_and_one_that_is_not_there_can_not_be_revoked() -> None:
    consumer = Consumer()
    endpoint_id, _ = await consumer.register()
    [current] = (await read_endpoint(endpoint_id, CALLER, consumer.world.services)).secrets

    with pytest.raises(InvalidSubmission):
        await revoke_secret(endpoint_id, current.id, CALLER, consumer.world.services)
    with pytest.raises(NotFound):
        await revoke_secret(endpoint_id, "sk9", CALLER, consumer.world.services)


async def test_a_third_rotation_in_one_overlap_is_refused_and_changes_nothing() -> None:
    consumer = Consumer()
    _, first = await consumer.register()
    second, third = await consumer.rotate(hours=24), await consumer.rotate(hours=24)

    with pytest.raises(InvalidSubmission):
        await consumer.rotate(hours=24)

    assert await consumer.heard_with(first, second, third) == [True, True, True]


async def test_a_later_rotation_never_prolongs_an_older_secret() -> None:
    consumer = Consumer()
    _, first = await consumer.register()
    await consumer.rotate(hours=1)
    await consumer.rotate(hours=48)

    consumer.world.clock.advance(timedelta(hours=1))

    assert await consumer.heard_with(first) == [False]


@pytest.mark.parametrize("body", [b'{"overlapHours":-1}', b'{"overlapHours":169}', b'{"overlapHours":"1"}', b'{"x":1}'])
async def test_an_overlap_out_of_bounds_is_refused(body: bytes) -> None:
    consumer = Consumer()
    endpoint_id, _ = await consumer.register()

    with pytest.raises(InvalidSubmission):
        await rotate_secret(endpoint_id, body, CALLER, consumer.world.services)
