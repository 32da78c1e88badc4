"""The sandbox's own endpoints: ledger, messages, faults, magic recipients, health."""

from __future__ import annotations

import asyncio
import re

import orjson

from local_azure.provider_sandbox.callbacks import Callbacks
from local_azure.provider_sandbox.faults import PROVIDERS, FaultError, Faults
from local_azure.provider_sandbox.http_exchange import Reply, Request, json_reply, problem
from local_azure.provider_sandbox.inbox import Inbox
from local_azure.provider_sandbox.ledger import Ledger
from local_azure.provider_sandbox.magic import TABLE
from local_azure.provider_sandbox.receipts import ReceiptQueue

_MAX_LISTED = 1000
_MESSAGE = re.compile(r"/messages/(?P<id>\d{1,12})\.json")
_FAULT = re.compile(r"/faults/(?P<id>\d{1,12})")
_NDJSON = "application/x-ndjson"


class OwnApi:
    """Everything a script, a test or the page asks the sandbox itself."""

    def __init__(
        self, *, ledger: Ledger, inbox: Inbox, faults: Faults, callbacks: Callbacks, receipts: ReceiptQueue
    ) -> None:
        self._ledger, self._inbox, self._faults = ledger, inbox, faults
        self._callbacks, self._receipts = callbacks, receipts

    async def handle(self, request: Request) -> Reply | None:
        """The answer, or None when the path is not one of these."""
        match request.method, request.path:
            case "GET", "/health":
                return json_reply(
                    {"status": "ok", "receiptsPending": self._receipts.pending, "ledgerLines": self._ledger.lines}
                )
            case "GET", "/ledger":
                return self._read_ledger(request)
            case "GET", "/ledger/summary":
                return json_reply(await asyncio.to_thread(self._ledger.summary))
            case "GET", "/messages.json":
                return self._list_messages(request)
            case "DELETE", "/messages.json":
                self._inbox.clear()
                return Reply(204)
            case "GET", "/callbacks.json":
                return self._list_callbacks(request)
            case "GET", "/magic.json":
                return json_reply(_magic_table())
            case "GET", "/faults":
                return json_reply(self._faults.listing())
            case "POST", "/faults":
                return self._add_fault(request)
            case "DELETE", "/faults":
                return self._clear_faults(request)
        return self._by_id(request)

    def _by_id(self, request: Request) -> Reply | None:
        shown = _MESSAGE.fullmatch(request.path)
        if shown is not None and request.method == "GET":
            message = self._inbox.find(int(shown["id"]))
            return problem(404, "no such message") if message is None else json_reply(message.as_json())
        fault = _FAULT.fullmatch(request.path)
        if fault is not None and request.method == "DELETE":
            return Reply(204) if self._faults.clear(fault_id=int(fault["id"])) else problem(404, "no such fault")
        return None

    def _read_ledger(self, request: Request) -> Reply:
        since = request.query().get("since", "0")
        if not since.isdigit():
            return problem(400, "since is a line number")
        # The end is fixed now, so the caller can go on from it without a gap.
        headers = [("X-Ledger-Lines", str(self._ledger.lines))]
        return Reply(200, content_type=_NDJSON, headers=headers, stream=self._ledger.read(int(since)))

    def _list_messages(self, request: Request) -> Reply:
        query = request.query()
        since, limit = query.get("since", "0"), query.get("limit", "200")
        if not since.isdigit() or not limit.isdigit():
            return problem(400, "since and limit are numbers")
        found = self._inbox.newest(
            channel=query.get("channel", ""),
            recipient=query.get("recipient", ""),
            since=int(since),
            refused=query.get("refused") == "1",
            limit=min(int(limit), _MAX_LISTED),
        )
        with_content = query.get("summary") != "1"
        listing = {
            "epoch": self._inbox.epoch,
            "revision": self._inbox.revision,
            "callbacksRevision": self._callbacks.revision,
            "arrived": self._inbox.arrived() | {"callback": self._callbacks.total()},
            "receiptsPending": self._receipts.pending,
            "faults": self._faults.listing(),
            "messages": [message.as_json(with_content=with_content) for message in found],
        }
        return json_reply(listing)

    def _list_callbacks(self, request: Request) -> Reply:
        limit = request.query().get("limit", "200")
        if not limit.isdigit():
            return problem(400, "limit is a number")
        return json_reply(self._callbacks.newest(min(int(limit), _MAX_LISTED)))

    def _add_fault(self, request: Request) -> Reply:
        try:
            return json_reply(self._faults.add(orjson.loads(request.body)).as_json(), 201)
        except (orjson.JSONDecodeError, FaultError) as error:
            return problem(400, str(error))

    def _clear_faults(self, request: Request) -> Reply:
        provider = request.query().get("provider")
        if provider is not None and provider not in PROVIDERS:
            return problem(400, f"provider must be one of {', '.join(PROVIDERS)}")
        self._faults.clear(provider=provider)
        return Reply(204)


def _magic_table() -> list[dict[str, object]]:
    return [
        {
            "name": row.outcome.name,
            "meaning": row.meaning,
            "channels": row.channels,
            "phone": row.phone,
            "counted": row.counted,
        }
        for row in TABLE
    ]
