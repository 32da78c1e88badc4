"""CPU cost of the Cosmos DB emulator: microseconds of server CPU for each kind of operation.

One command: `python bench/cosmos_emulator.py`. Starts the emulator as a process, drives it with raw HTTP/1.1 over a few
keep-alive connections (the SDK would cost more than the server), reads the server's CPU time before and after each
phase, and prints one line for each. Documents are about 0.7 KB.
"""

import argparse
import asyncio
import base64
import hmac
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import orjson

ROOT = Path(__file__).parents[1]
KEY = base64.b64encode(b"a key that only this bench uses!").decode()
DATE = "Tue, 24 Nov 2026 22:00:00 GMT"
CONNECTIONS = 8
BATCH_ITEMS = 50
PARTITIONS = 50
SWEEP = (
    "SELECT c.id, c.partitionKey FROM c WHERE c.type = 'notification' AND (c.deliveries.email.wakeAt <= @now "
    "OR c.deliveries.sms.wakeAt <= @now OR c.deliveries.push.wakeAt <= @now OR c.deliveries.webhook.wakeAt <= @now)"
)

Operation = tuple[str, str, str, bytes, dict[str, str]]


def cpu_seconds(pid: int) -> float:
    """User and system CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def encode(operation: Operation, port: int) -> bytes:
    """A signed HTTP request."""
    verb, kind, path, body, extra = operation
    link = "" if path == "dbs" else path.removesuffix("/docs").removesuffix("/colls")
    text = f"{verb.lower()}\n{kind}\n{link}\n{DATE.lower()}\n\n"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), "sha256")).decode()
    headers = {
        "Host": f"127.0.0.1:{port}",
        "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe="-_.!~*'()"),
        "x-ms-date": DATE,
        "x-ms-version": "2020-07-15",
        "Accept": "application/json",
        "User-Agent": "bench",
        "x-ms-activity-id": "0b5cbe2d-1111-2222-3333-444455556666",
        "Cache-Control": "no-cache",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **extra,
    }
    lines = [f"{verb} /{path}/ HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes) -> tuple[int, bytes]:
    """(status, body) of one request."""
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return status, await reader.readexactly(length)


async def drive(port: int, operations: Iterator[Operation], wanted: int) -> int:
    """Sends all operations over a few connections; how many there were."""
    done = 0

    async def worker() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for operation in operations:
            status, body = await exchange(reader, writer, encode(operation, port))
            if status != wanted:
                message = f"{operation[0]} {operation[2]}: {status} {body[:300]!r}"
                raise RuntimeError(message)
            done += 1
        writer.close()

    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return done


def document(number: int, partition: int, status: str = "queued") -> dict[str, object]:
    """A notification-like document of about 0.7 KB."""
    return {
        "id": f"01JD{number:022d}",
        "partitionKey": f"tenant:{partition}",
        "type": "notification",
        "status": status,
        "deliveries": {"email": {"status": status, "attempts": [], "to": "someone@example.org"}},
        "template": "order-shipped",
        "variables": {"name": "A. Person", "text": "x" * 380},
    }


class Bench:
    """The phases, against one running emulator."""

    def __init__(self, port: int, pid: int, count: int) -> None:
        self.port, self.pid, self.count = port, pid, count
        self.docs = "dbs/bench/colls/items/docs"

    async def phase(self, name: str, operations: Iterator[Operation], wanted: int, items: int = 1) -> None:
        """Runs one phase and prints its line."""
        cpu, clock = cpu_seconds(self.pid), time.perf_counter()
        done = await drive(self.port, operations, wanted)
        cpu, clock = cpu_seconds(self.pid) - cpu, time.perf_counter() - clock
        each = f", {cpu / done / items * 1e6:6.1f} us for each of {items} items" if items > 1 else ""
        print(f"{name:34} {cpu / done * 1e6:8.1f} us server CPU{each}   {done / clock:8.0f} calls/s")

    def writes(self, extra: dict[str, str], status: str = "queued") -> Iterator[Operation]:
        """One write for each document."""
        for number in range(self.count):
            partition = number % PARTITIONS
            headers = {"x-ms-documentdb-partitionkey": f'["tenant:{partition}"]', **extra}
            yield "POST", "docs", self.docs, orjson.dumps(document(number, partition, status)), headers

    def points(self, verb: str, body: Callable[[int], bytes] = lambda _: b"") -> Iterator[Operation]:
        """One point operation for each document."""
        for number in range(self.count):
            headers = {"x-ms-documentdb-partitionkey": f'["tenant:{number % PARTITIONS}"]'}
            yield verb, "docs", f"{self.docs}/01JD{number:022d}", body(number), headers

    def batches(self, make: Callable[[int, int], dict[str, object]]) -> Iterator[Operation]:
        """Transactional batches of fifty."""
        for batch in range(self.count // BATCH_ITEMS):
            partition = 1000 + batch
            first = batch * BATCH_ITEMS
            operations = [make(number, partition) for number in range(first, first + BATCH_ITEMS)]
            headers = {
                "x-ms-documentdb-partitionkey": f'["tenant:{partition}"]',
                "x-ms-cosmos-is-batch-request": "True",
                "x-ms-cosmos-batch-atomic": "True",
            }
            yield "POST", "docs", self.docs, orjson.dumps(operations), headers

    def repeat(self, count: int, verb: str, body: bytes, headers: dict[str, str]) -> Iterator[Operation]:
        """The same request again and again."""
        for _ in range(count):
            yield verb, "docs", self.docs, body, headers

    async def run(self) -> None:
        """All phases."""
        await drive(self.port, iter([("POST", "dbs", "dbs", b'{"id":"bench"}', {})]), 201)
        container = orjson.dumps({"id": "items", "partitionKey": {"paths": ["/partitionKey"]}, "defaultTtl": 7776000})
        await drive(self.port, iter([("POST", "colls", "dbs/bench/colls", container, {})]), 201)
        await self.measure("")
        sweep = orjson.dumps({"query": SWEEP, "parameters": [{"name": "@now", "value": "2026-01-01T00:00:00Z"}]})
        query = {
            "Content-Type": "application/query+json",
            "x-ms-documentdb-isquery": "true",
            "x-ms-documentdb-partitionkeyrangeid": "0",
        }
        await self.phase("first sweep (makes its indexes)", self.repeat(1, "POST", sweep, query), 200)
        await self.phase("sweep while they are filled", self.repeat(200, "POST", sweep, query), 200)
        await self.phase("sweep of one range, none due", self.repeat(500, "POST", sweep, query), 200)
        feed = {"A-IM": "Incremental Feed", "x-ms-documentdb-partitionkeyrangeid": "0", "If-None-Match": '"9999999"'}
        await self.phase("idle change feed poll", self.repeat(self.count, "GET", b"", feed), 304)
        await self.measure(" (with path columns)", "again")

    async def measure(self, note: str, prefix: str = "") -> None:
        """The item phases, before and after automatic indexes exist."""
        upsert = {"x-ms-documentdb-is-upsert": "True"}
        if not prefix:
            await self.phase("create", self.writes({}), 201)
        await self.phase(f"upsert (replacing){note}", self.writes(upsert), 200)
        await self.phase(f"point read{note}", self.points("GET"), 200)
        await self.phase(f"patch with predicate{note}", self.points("PATCH", patch_body), 200)
        await self.phase(
            f"batch of creates{note}",
            self.batches(lambda n, p: create_operation(f"{prefix}{n}", n, p)),
            200,
            BATCH_ITEMS,
        )
        await self.phase(
            f"batch of conditional patches{note}",
            self.batches(lambda n, _: patch_operation(f"{prefix}{n}", n)),
            200,
            BATCH_ITEMS,
        )


def patch_operations(number: int) -> dict[str, object]:
    """A conditional claim: what a delivery worker patches."""
    return {
        "condition": f"from c where c.deliveries.email.status = 'queued' and c.template != 'claim-{number}'",
        "operations": [
            {"op": "set", "path": "/deliveries/email/status", "value": "sending"},
            {"op": "add", "path": "/deliveries/email/attempts/-", "value": {"claim": f"{number}", "at": "2026-01-01"}},
            {"op": "set", "path": "/status", "value": "sending"},
        ],
    }


def patch_body(number: int) -> bytes:
    """The PATCH body of a claim."""
    return orjson.dumps(patch_operations(number))


def create_operation(item_id: str, number: int, partition: int) -> dict[str, object]:
    """One create of a batch."""
    return {"operationType": "Create", "resourceBody": {**document(number, partition), "id": item_id}}


def patch_operation(item_id: str, number: int) -> dict[str, object]:
    """One conditional patch of a batch."""
    return {"operationType": "Patch", "id": item_id, "resourceBody": patch_operations(number)}


def main() -> None:
    """Starts the emulator, measures, stops it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="operations in each phase (default 5000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "local_azure.cosmos", "--port", "0", "--data", folder, "--ranges", "2"]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "COSMOS_KEY": KEY}, stdout=subprocess.PIPE, text=True
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            asyncio.run(Bench(int(line.rsplit(":", 1)[1]), process.pid, arguments.count).run())
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main()
