"""Puts the sandbox together and sends each request where it belongs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from local_azure.provider_sandbox import callbacks
from local_azure.provider_sandbox.acs_email import AcsEmail
from local_azure.provider_sandbox.acs_sms import AcsSms
from local_azure.provider_sandbox.callbacks import Callbacks
from local_azure.provider_sandbox.faults import Faults
from local_azure.provider_sandbox.fcm import Fcm
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
from local_azure.provider_sandbox.slack import Slack
from local_azure.provider_sandbox.smtp import Smtp
from local_azure.provider_sandbox.twilio import Twilio
from local_azure.provider_sandbox.webhook_recipients import WebhookRecipients
from local_azure.provider_sandbox.whatsapp import WhatsApp


class HttpVendor(Protocol):
    """A vendor that is called over HTTP."""

    def takes(self, request: Request) -> bool:
        """Whether the request is for this vendor."""

    async def handle(self, request: Request) -> Reply | None:
        """The vendor's answer; None cuts the connection."""


@runtime_checkable
class TellsStates(Protocol):
    """A vendor that can be asked what became of a message."""

    def record_step(self, receipt: Receipt) -> None:
        """The step that the receipt is about happens now."""


@dataclass(slots=True)
class Sandbox:
    """The parts that answer."""

    vendors: tuple[HttpVendor, ...]
    smtp: Smtp
    callbacks: Callbacks
    own_api: OwnApi
    page: Page

    async def route(self, request: Request) -> Reply | None:
        for vendor in self.vendors:
            if vendor.takes(request):
                return await vendor.handle(request)
        if request.path.startswith(callbacks.PREFIX):
            return await self.callbacks.handle(request)
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
        for vendor in sandbox.vendors:
            if isinstance(vendor, TellsStates):
                vendor.record_step(receipt)

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
        vendors=(
            SendGrid(calls, settings),
            AcsEmail(calls, settings),
            WhatsApp(calls, settings),  # before Twilio, which takes what is left of that address
            Twilio(calls, settings),
            AcsSms(calls, settings),
            WebhookRecipients(calls, settings),
            Slack(calls),
            Fcm(calls, settings),
            NotificationHubs(calls, settings, f"http://127.0.0.1:{port}"),
        ),
        smtp=Smtp(calls, settings),
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
