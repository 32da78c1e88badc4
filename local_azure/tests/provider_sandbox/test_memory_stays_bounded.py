"""However much arrives, only the newest is kept."""

from __future__ import annotations

import dataclasses

from local_azure.provider_sandbox.callbacks import KEPT_BYTES as KEPT_CALLBACK_BYTES
from local_azure.provider_sandbox.callbacks import Callbacks
from local_azure.provider_sandbox.http_exchange import Request
from local_azure.provider_sandbox.inbox import KEPT_BYTES, KEPT_MESSAGES, KEPT_REFUSALS, Inbox, Message

MESSAGE = Message(
    channel="email",
    provider="sendgrid",
    recipient="ann@example.com",
    sender="shop@example.com",
    attempt_id=None,
    provider_id="x",
    content={"subject": "Order"},
    merge={},
    outcome="delivered",
    accepted=True,
    http_status=202,
    at=0.0,
    size_bytes=100,
)


def another(**changes):
    return dataclasses.replace(MESSAGE, history=[], **changes)


def test_the_inbox_keeps_the_newest_messages():
    inbox = Inbox()
    ids = [inbox.add(another()).id for _ in range(KEPT_MESSAGES + 10)]

    assert inbox.find(ids[9]) is None
    assert inbox.find(ids[10]) is not None
    assert [message.id for message in inbox.newest(limit=2)] == [ids[-1], ids[-2]]


def test_refused_calls_do_not_push_out_messages():
    inbox = Inbox()
    kept = inbox.add(another())
    for _ in range(KEPT_REFUSALS + 10):
        inbox.add(another(accepted=False))

    assert inbox.find(kept.id) is not None
    assert len(inbox.newest(refused=True, limit=KEPT_MESSAGES)) == KEPT_REFUSALS + 1


def test_large_messages_push_out_old_ones_sooner():
    inbox = Inbox()
    ids = [inbox.add(another(size_bytes=KEPT_BYTES // 4)).id for _ in range(6)]
    huge_refusal = inbox.add(another(accepted=False, size_bytes=KEPT_BYTES)).id

    assert [inbox.find(message_id) is not None for message_id in ids] == [False, False, True, True, True, True]
    assert inbox.find(huge_refusal) is not None


async def test_large_callbacks_push_out_old_ones(tmp_path):
    callbacks = Callbacks(tmp_path)
    body = b"x" * 1024 * 1024
    for _ in range(KEPT_CALLBACK_BYTES // len(body) + 5):
        await callbacks.handle(Request("POST", "/callbacks/a", "", {}, body))

    assert callbacks.total() == KEPT_CALLBACK_BYTES // len(body)
    callbacks.close()
    assert Callbacks(tmp_path).total() == KEPT_CALLBACK_BYTES // len(body)
