"""Puts the sandbox together and sends each request where it belongs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from local_azure.provider_sandbox import callbacks, notification_hubs, webhook_recipients
from local_azure.provider_sandbox.callbacks import Callbacks
from local_azure.provider_sandbox.faults import Faults
from local_azure.provider_sandbox.http_exchange import Reply, Request, problem
from local_azure.provider_sandbox.inbox import Inbox
from local_azure.provider_sandbox.ledger import Ledger
from local_azure.provider_sandbox.notification_hubs import NotificationHubs
from local_azure.provider_sandbox.own_api import OwnApi
from local_azure.provider_sandbox.page import Page
from local_azure.provider_sandbox.provider_calls import ProviderCalls
from local_azure.provider_sandbox.receipt_formats import receipt_formats
from local_azure.provider_sandbox.receipts import Receipt, ReceiptQueue
from local_azure.provider_sandbox.sendgrid import SendGrid
from local_azure.provider_sandbox.settings import Settings
from local_azure.provider_sandbox.twilio import Twilio
from local_azure.provider_sandbox.webhook_recipients import WebhookRecipients

_SENDGRID_PATH = "/v3/mail/send"
_TWILIO_PREFIX = "/2010-04-01/"


@dataclass(slots=True)
class Sandbox:
    """The parts that answer."""

    sendgrid: SendGrid
    twilio: Twilio
    hubs: NotificationHubs
    webhooks: WebhookRecipients
    callbacks: Callbacks
    own_api: OwnApi
    page: Page

    async def route(self, request: Request) -> Reply | None:
        path = request.path
        if path == _SENDGRID_PATH and request.method == "POST":
            return await self.sendgrid.send(request)
        if path.startswith(_TWILIO_PREFIX):
            return await self.twilio.handle(request)
        if path.startswith(webhook_recipients.PREFIX):
            return await self.webhooks.handle(request)
        if path.startswith(callbacks.PREFIX):
            return await self.callbacks.handle(request)
        if notification_hubs.PATH.fullmatch(path):
            return await self.hubs.handle(request)
        own = await self.own_api.handle(request) or self.page.handle(request)
        return own or problem(404, "nothing is played at this address")


@contextlib.asynccontextmanager
async def open_sandbox(settings: Settings, folder: Path, port: int, receipt_delay_ms: int) -> AsyncIterator[Sandbox]:
    """The sandbox, posting receipts as long as the context lasts. Raises: SettingsError."""
    formats = receipt_formats(settings)
    inbox, ledger, faults = Inbox(), Ledger(folder / "ledger.jsonl"), Faults()
    arrivals = Callbacks(folder)
    sandbox: Sandbox

    def note_step(receipt: Receipt) -> None:
        inbox.record_step(receipt.message, receipt.step, receipt.due, posted=receipt.format in formats)
        sandbox.twilio.record_step(receipt.payload.get("MessageSid", ""), receipt.step)
        if "data" in receipt.payload:
            sandbox.hubs.record_step(receipt.payload["data"]["notificationId"], receipt.step)

    receipts = ReceiptQueue(
        folder / "pending_receipts.jsonl",
        formats,
        on_due=note_step,
        on_taken=lambda receipt: inbox.record_taken(receipt.message, receipt.step),
    )
    calls = ProviderCalls(
        ledger=ledger,
        inbox=inbox,
        receipts=receipts,
        faults=faults,
        receipt_delay_seconds=receipt_delay_ms / 1000,
    )
    sandbox = Sandbox(
        sendgrid=SendGrid(calls, settings),
        twilio=Twilio(calls, settings),
        hubs=NotificationHubs(calls, settings, f"http://127.0.0.1:{port}"),
        webhooks=WebhookRecipients(calls, settings),
        callbacks=arrivals,
        own_api=OwnApi(ledger=ledger, inbox=inbox, faults=faults, callbacks=arrivals, receipts=receipts),
        page=Page(inbox),
    )
    posting = asyncio.create_task(receipts.run())
    try:
        yield sandbox
    finally:
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting
        ledger.close()
        arrivals.close()
