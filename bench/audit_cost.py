"""What the audit trail costs for one notification: CPU of the app's part, request units by the emulator's header.

One command: `python -m bench.audit_cost`. Starts the Cosmos DB emulator as a process and hands `record_changes` what a
change feed would: documents as the app stores them, decoded by the binding's own class, in calls of 200, each
notification twice (accepted and sent; delivered). Reads the charge of every answer and this process's CPU time.
"""

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import orjson

from bench.cosmos_emulator import ROOT
from shared.adapters.cosmos_audit import CosmosAuditLog
from shared.adapters.cosmos_client import CosmosDatabase, CosmosSettings
from shared.bootstrap import SystemClock
from shared.pipeline.audit_trail import record_changes
from shared.pipeline.recorded import Recorded

KEY = base64.b64encode(b"a key that only this bench uses!").decode()
AT_ONCE = 200


def document(number: int, history: int) -> dict[str, Any]:
    """A stored notification by mail, with ``history`` changes of status behind it."""
    changes = [
        {"at": "2026-11-25T04:00:01.000Z", "channel": "email", "status": status, "attempt": 1, "provider": "sendgrid"}
        for status in ("sent", "delivered")
    ]
    return {
        "id": f"01KAX{number:021d}",
        "partitionKey": f"shop:{number % 1000}",
        "type": "notification",
        "tenantId": "6a1c3f0e-2f5d-4b8e-9f7a-0d6b5f1c2e3a",
        "createdAt": "2026-11-25T04:00:00.000Z",
        "lane": "normal",
        "category": "transactional",
        "customerId": f"cust-{number}",
        "template": {"id": "order-confirmation", "version": "1.0.0", "locale": "de"},
        "data": {"name": "A. Person", "order": {"id": number, "items": ["x" * 40] * 8}},
        "deliveries": {"email": {"status": "sent", "address": {"email": "someone@example.org"}, "attempts": []}},
        "history": changes[:history],
        "callbacks": {},
    }


def calls(notifications: int, history: int) -> list[bytes]:
    """What the host would send to the worker, call by call."""
    return [
        orjson.dumps([document(number, history) for number in range(start, min(start + AT_ONCE, notifications))])
        for start in range(0, notifications, AT_ONCE)
    ]


async def measure(port: int, notifications: int) -> dict[str, float]:
    """The figures, for one notification each."""
    charges: list[float] = []
    database = CosmosDatabase(CosmosSettings("cns", f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={KEY};"))

    def note(response: Any) -> None:
        charges.append(float(response.http_response.headers.get("x-ms-request-charge", 0)))

    database.meter.note = note  # type: ignore[method-assign]
    services: Any = SimpleNamespace(audit=CosmosAuditLog(database), recorded=Recorded(), clock=SystemClock())
    await services.audit.newest("nobody")  # connects
    shown = calls(notifications, 1) + calls(notifications, 2)
    charges.clear()
    decoding = recording = 0.0
    for body in shown:
        start = time.process_time()
        documents = func.DocumentList(func.Document.from_dict(each) for each in json.loads(body))
        decoding += time.process_time() - start
        start = time.process_time()
        await record_changes(documents, services)
        recording += time.process_time() - start
    await database.close()
    return {
        "request units": sum(charges) / notifications,
        "calls of the store": len(charges) / notifications,
        "CPU of recording, us": recording / notifications * 1e6,
        "CPU of the binding's decoding, us": decoding / notifications * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--notifications", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "local_azure.cosmos", "--port", "0", "--data", folder]
        command += ["--topology", "local_azure/topology/cosmos.json"]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "COSMOS_KEY": KEY}, stdout=subprocess.PIPE, text=True
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            figures = asyncio.run(measure(int(line.rsplit(":", 1)[1]), options.notifications))
        finally:
            process.terminate()
            process.wait(10)
    for name, figure in figures.items():
        print(f"{name:36} {figure:8.2f}")


if __name__ == "__main__":
    main()
