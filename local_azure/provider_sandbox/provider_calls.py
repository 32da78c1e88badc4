"""The way every provider call takes: outcome, ledger, inbox, receipts, answer, in this order.

A vendor module parses and validates; `ProviderCalls.answer` decides what becomes of the call (a fault profile first,
then the recipients' magic), writes the ledger and the pending receipts before anything is answered, and asks the vendor
for the answer in its own shape.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from local_azure.provider_sandbox.faults import Faults
from local_azure.provider_sandbox.http_exchange import Reply
from local_azure.provider_sandbox.inbox import Inbox, Message
from local_azure.provider_sandbox.ledger import Ledger
from local_azure.provider_sandbox.magic import MagicRecipients
from local_azure.provider_sandbox.outcomes import DELIVERED, Outcome, refused
from local_azure.provider_sandbox.receipts import Receipt, ReceiptQueue

_GARBAGE = b'{"sid": "SM\xff\xfe, <html><body>upstream connect error or disconnect/reset before headers'


@dataclass(slots=True)
class Part:
    """One recipient's part of a call. `own_content` replaces fields of the call's content for this recipient."""

    recipient: str
    attempt_id: str | None
    merge: dict[str, str] = field(default_factory=dict)
    own_content: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One valid provider call. `extra` is the vendor's own, for its receipts.

    `at_fault` are the parts for whose sake the call is refused: those that met a refusing recipient's magic, or all of
    them under a fault profile.
    """

    body: bytes
    provider_id: str
    sender: str
    content: dict[str, Any]
    parts: list[Part]
    extra: dict[str, Any] = field(default_factory=dict)
    at_fault: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReceiptDraft:
    """What a vendor says about one step: where to post and what; None as URL: the step is not posted."""

    url: str | None
    payload: dict[str, Any]


class Vendor(Protocol):
    """What a provider's module knows: its shapes."""

    provider: str
    channel: str
    success_status: int

    def succeed(self, call: Call) -> Reply:
        """The answer to an accepted call."""

    def refuse(self, outcome: Outcome, call: Call) -> Reply:
        """The answer to a refused call, in the vendor's shape."""

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        """What is posted when this step happens at `at`; None when the vendor has no such step."""


@runtime_checkable
class AnswersLookUps(Protocol):
    """A vendor that can be asked about a message later, whatever its caller saw of the answer."""

    def keep(self, call: Call) -> None:
        """The call was accepted."""


@dataclass(frozen=True, slots=True)
class _Fate:
    """What becomes of a call as a `whole` (its HTTP answer) and of `each` recipient (its receipts)."""

    whole: Outcome
    each: list[Outcome]
    status: int | None
    at: float

    def name(self, number: int) -> str:
        return (self.whole if self.whole.decides_the_answer else self.each[number]).name


class ProviderCalls:
    """Carries calls out."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        inbox: Inbox,
        receipts: ReceiptQueue,
        faults: Faults,
        receipt_delay_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger, self._inbox, self._receipts, self._faults = ledger, inbox, receipts, faults
        self._magic = MagicRecipients()
        self._receipt_delay_seconds = receipt_delay_seconds
        self._clock = clock

    async def answer(self, vendor: Vendor, call: Call) -> Reply | None:
        """The vendor's answer, or None when the connection is to be cut."""
        fate = self._decide(vendor, call)
        self._ledger.append(_ledger_lines(vendor, call, fate))
        receipts = [receipt for number in range(len(call.parts)) for receipt in self._keep(vendor, call, fate, number)]
        if receipts:
            self._receipts.schedule(receipts)
        whole = fate.whole
        if whole.accepted and isinstance(vendor, AnswersLookUps):
            vendor.keep(call)
        if whole.delay_ms:
            await asyncio.sleep(whole.delay_ms / 1000)
        if whole.cuts_connection:
            return None
        if whole.garbled:
            return Reply(vendor.success_status, _GARBAGE, "text/html")
        reply = vendor.succeed(call) if whole.accepted else vendor.refuse(whole, call)
        if whole.drips:
            reply.stream, reply.body = _drip(reply.body or b"."), b""
        return reply

    def note_refusal(self, vendor: Vendor, body: bytes, outcome: str, reply: Reply) -> Reply:
        """`reply`, after a call that never became valid (bad credentials, bad request) is in the ledger."""
        call = Call(body, "", "", {}, [Part("", None)])
        fate = _Fate(refused(outcome, reply.status), [refused(outcome, reply.status)], reply.status, self._clock())
        self._ledger.append(_ledger_lines(vendor, call, fate))
        return reply

    def _decide(self, vendor: Vendor, call: Call) -> _Fate:
        now, fault = self._clock(), self._faults.strike(vendor.provider)
        if fault is not None and not fault.accepted:
            each = [fault] * len(call.parts)
        else:
            each = [self._magic.outcome(vendor.channel, part.recipient) for part in call.parts]
        whole = fault or next((outcome for outcome in each if outcome.decides_the_answer), DELIVERED)
        call.at_fault = [part for part, outcome in zip(call.parts, each, strict=True) if outcome is whole]
        if not whole.accepted:
            each = [whole] * len(call.parts)
        status = None if whole.cuts_connection else whole.status or vendor.success_status
        return _Fate(whole, each, status, now)

    def _keep(self, vendor: Vendor, call: Call, fate: _Fate, number: int) -> Iterator[Receipt]:
        part, outcome = call.parts[number], fate.each[number]
        message = self._inbox.add(
            Message(
                channel=vendor.channel,
                provider=vendor.provider,
                recipient=part.recipient,
                sender=call.sender,
                attempt_id=part.attempt_id,
                provider_id=call.provider_id,
                content=call.content | part.own_content if part.own_content else call.content,
                merge=part.merge,
                outcome=fate.name(number),
                accepted=fate.whole.accepted,
                http_status=fate.status,
                at=fate.at,
                size_bytes=len(call.body) // len(call.parts),  # a call's recipients share its content
            )
        )
        delay = self._receipt_delay_seconds if outcome.receipt_delay_ms is None else outcome.receipt_delay_ms / 1000
        due = fate.at + fate.whole.delay_ms / 1000
        for step in outcome.steps:
            draft = vendor.receipt(call, part, step, due)
            if draft is not None:
                posted = vendor.provider if draft.url is not None else ""
                for _ in range(2 if outcome.posts_twice else 1):
                    yield Receipt(
                        posted, draft.url or "", draft.payload, message.id, step, due, outcome.forges_signature
                    )
            due += delay


async def _drip(body: bytes) -> AsyncIterator[bytes]:
    for start in range(len(body)):
        yield body[start : start + 1]
        await asyncio.sleep(1)


def _ledger_lines(vendor: Vendor, call: Call, fate: _Fate) -> list[dict[str, Any]]:
    at = datetime.fromtimestamp(fate.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    digest = hashlib.sha256(call.body).hexdigest()
    return [
        {
            "at": at,
            "provider": vendor.provider,
            "channel": vendor.channel,
            "recipient": part.recipient,
            "attemptId": part.attempt_id,
            "bodyDigest": digest,
            "outcome": fate.name(number),
            "httpStatus": fate.status,
            "accepted": fate.whole.accepted,
            "messageId": call.provider_id,
            "part": number,
        }
        for number, part in enumerate(call.parts)
    ]
