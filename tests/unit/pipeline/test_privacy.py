"""No personal data in a log line, a bus message or a dead letter, whichever way a notification goes."""

import json
import logging
from typing import Any

import pytest

from shared.domain.errors import InDoubt, InvalidSubmission, Rejected, Throttled, Transient
from shared.domain.receipt import ReceiptKind
from tests.fakes.real_world import RealWorld
from tests.fakes.recording_publisher import RecordingPublisher
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World, a_request

CANARIES = (
    "canary.mailbox@example.com", "+4915199999999", "canary-token", "canary-subject", "canary-text", "canary-data",
)  # fmt: skip
REQUEST: dict[str, Any] = {
    "recipient": {
        "email": CANARIES[0],
        "phone": CANARIES[1],
        "deviceTokens": [{"platform": "fcm", "token": CANARIES[2]}],
        "webhookUrl": "https://canary-host.example/hook",
    },
    "channels": ["email", "sms", "push", "webhook"],
    "content": {
        "email": {"subject": CANARIES[3], "text": CANARIES[4]},
        "sms": {"text": CANARIES[4]},
        "push": {"title": CANARIES[3], "body": CANARIES[4]},
        "webhook": {"x": CANARIES[5]},
    },
    "data": {"x": CANARIES[5]},
}


class RememberingPublisher(RecordingPublisher):
    def __init__(self) -> None:
        super().__init__()
        self.everything: list[str] = []

    async def publish(self, entity: str, messages: Any) -> None:
        self.everything += [f"{message}" for message in messages]
        await super().publish(entity, messages)


def _leaks(text: str) -> list[str]:
    return [canary for canary in (*CANARIES, "canary-host") if canary in text]


@pytest.mark.parametrize(
    "answer",
    [None, Transient("x"), Rejected("x"), Throttled("x"), InDoubt("x")],
    ids=lambda answer: type(answer).__name__,
)
def test_ids_travel_and_people_do_not(answer: Exception | None, caplog: pytest.LogCaptureFixture) -> None:
    async def live() -> RememberingPublisher:
        world = World(publisher=RememberingPublisher())
        for provider in world.providers.values():
            provider.otherwise = answer or provider.otherwise
        await world.submit(a_request(**REQUEST))
        await RealWorld(world, ReceiptKind.DELIVERED).quiesce()
        return world.publisher

    with caplog.at_level(logging.DEBUG):
        publisher = run_virtually(live())

    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert publisher.everything
    assert _leaks(logged) == []
    assert _leaks("\n".join(publisher.everything)) == []


async def test_a_refusal_does_not_repeat_what_was_wrong(caplog: pytest.LogCaptureFixture) -> None:
    wrong = REQUEST | {"recipient": {"email": "canary-mailbox", "phone": "canary-phone", "webhookUrl": "canary-url"}}

    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidSubmission) as refused:
        await World().submit(a_request(**wrong))

    assert "canary" not in json.dumps([(each.pointer, each.detail) for each in refused.value.errors])
    assert "canary" not in caplog.text
