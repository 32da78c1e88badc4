"""Random requests against the two ports of a running host: nothing may crash, hang, grow or answer 500 by itself.

By hand: ``python -m local_azure.tests.functions_host.fuzz_host --seconds 60``. The app is the one with Durable
functions; those may fail (500), the host's own pages may not. A finding is printed with its seed and its bytes.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from local_azure.tests.functions_host.part_process import APPS, HostProcess

ANSWER_SECONDS = 10.0
METHODS = ["GET"] * 6 + ["POST"] * 6 + ["DELETE", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "get", "B@D"]
PATHS = [
    *("/", "/health", "/metrics.json", "/orchestrations.json", "/admin", "/admin/", "/admin/functions"),
    *("/admin/functions/greet", "/admin/functions/start", "/admin/functions/", "/admin/host/status"),
    *("/admin/instances", "/admin/instances/1", "/admin/instances/x", "/admin/instances/99999999999"),
    *("/api/start/approval", "/api/start/fails", "/api/start/nothing", "/api/approve/nobody", "/api/%00", "/api"),
    *(f"{prefix}/instances/{rest}" for prefix in ("/durabletask", "/runtime/webhooks/durabletask") for rest in (
        *("", "abc", "@counter@x", "abc/raiseEvent/go", "abc/terminate", "abc/rewind", "abc/restart", "abc/suspend"),
        *("abc/resume", "abc/unknown", "%2e%2e%2f", "%ff%fe", "a" * 300, "?top=-1", "?top=x&runtimeStatus=Bad"),
        *("?createdTimeFrom=yesterday", "?createdTimeFrom=9999-99-99", "abc?showHistory=true&showInput=maybe"),
        *("?runtimeStatus=Running,Pending,,&top=99999999999999999999", "abc?returnInternalServerErrorOnFailure=true"),
    )),
    *(f"/durabletask/{rest}" for rest in (
        *("orchestrators/approval", "orchestrators/approval/some-id", "orchestrators/none", "orchestrators/"),
        *("entities/counter/a?op=add", "entities/counter", "entities/counter/", "entities/@@@/x", "entities"),
        "orchestrators/approval?timeout=nan&pollingInterval=inf",
        *("orchestrators/approval?timeout=x&pollingInterval=-1", "orchestrators/fails/fixed", "nothing/here"),
    )),
]  # fmt: skip
HEADERS = [
    *("Content-Type: application/json", "Content-Type: \xff", "Accept: */*", "x-functions-key: wrong", "Cookie: a=b"),
    *("traceparent: 00-zz-1-1", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    *("tracestate: " + "a=b," * 50, "Expect: 100-continue", "Connection: close", "Connection: upgrade"),
    *("Upgrade: websocket", "Range: bytes=0-", "X-Long: " + "y" * 5000, "If-None-Match: *", "Host: evil.example"),
    *("Content-Encoding: gzip", "X-Ünïcode: ä"),
]
BODIES = [
    *(
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe\x00",
        b'"text"',
        b"NaN",
        b"1e999",
        b"-0",
        b"9" * 400,
        b'{"a":' * 900,
    ),
    *(b"[" * 20000, b'{"input": "\\ud800"}', b'{"function": "http", "count": "1"}', b'{"function": 1}', b"\x00" * 500),
    *(b'{"input": [1, 2, {"a": null}]}', b'"\\u0000"', b"a" * 70000, b'{"a": 1, "a": 2}', b"[1,2", b"Infinity"),
]
BROKEN = [
    *(b"\r\n\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET  /  HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"),
    *(
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ),
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST /api/start/approval HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /durabletask/orchestrators/approval HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nshort",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
    b"POST /admin/instances HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/\xff\xfe%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://other.example/health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.0\r\n\r\n",
]
OWN_PAGES = ("/durabletask", "/runtime/", "/admin", "/metrics", "/health", "/orchestrations")


@dataclass
class Findings:
    """What was sent and what came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def request(rng: random.Random, keys: list[str]) -> bytes:
    """One request: mostly well formed, sometimes with a damaged byte, sometimes cut off, sometimes two at once."""
    if rng.random() < 0.2:
        return rng.choice(BROKEN)
    path = rng.choice(PATHS)
    if rng.random() < 0.2:
        path += "".join(rng.choice("/?&=%@#.~\\ aZ0\t") for _ in range(rng.randint(1, 12))).replace(" ", "%20")
    headers = ["Host: 127.0.0.1", *rng.sample(HEADERS, rng.randint(0, 4))]
    if rng.random() < 0.4:
        headers.append(f"x-functions-key: {rng.choice(keys)}")
    body = rng.choice(BODIES)
    lines = [f"{rng.choice(METHODS)} {path} HTTP/1.1", *headers, f"Content-Length: {len(body)}"]
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    if rng.random() < 0.15:
        position = rng.randrange(len(raw))
        raw = raw[:position] + bytes([rng.randrange(256)]) + raw[position + 1 :]
    if rng.random() < 0.1:
        raw = raw[: rng.randrange(1, len(raw))]
    return raw * 2 if rng.random() < 0.1 else raw


async def exchange(port: int, raw: bytes, *, half_close: bool) -> bytes:
    """Send it and give the beginning of the answer; empty when the host closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        await writer.drain()
        if half_close and writer.can_write_eof():
            writer.write_eof()
        return await asyncio.wait_for(reader.read(65536), 0.25)
    except (TimeoutError, OSError):
        return b""  # a request that is not complete gets no answer yet
    finally:
        writer.transport.abort()


async def one_client(host: HostProcess, rng: random.Random, deadline: float, findings: Findings) -> None:
    keys = [host.keys()["master"], (host.data / "durable" / "durabletask_extension.key").read_text().strip()]
    while time.monotonic() < deadline:
        raw, port = request(rng, keys), rng.choice(host.ports)
        answer = await exchange(port, raw, half_close=rng.random() < 0.3)
        status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else "none"
        findings.statuses[status] += 1
        path = raw.split(b" ", 2)[1].decode("latin-1") if raw.count(b" ") > 1 else ""
        if status == "500" and path.startswith(OWN_PAGES):
            findings.wrong.append(f"500 for {raw[:300]!r}: {answer[-200:]!r}")


async def health(host: HostProcess) -> None:
    """Both ports answer.

    Raises:
        AssertionError: one does not, in time.
    """
    for port in host.ports:
        raw = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            answer = await reader.read()
            writer.close()
        assert answer.startswith(b"HTTP/1.1 "), answer


def resident_megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def fuzz(host: HostProcess, seconds: float, seed: int, clients: int = 4) -> tuple[Findings, float]:
    """What was found, and the megabytes that the host grew by after the first third."""
    findings = Findings()
    started = time.monotonic()
    marks: list[float] = []

    async def watch() -> None:
        await asyncio.sleep(seconds / 3)
        marks.append(resident_megabytes(host.process.pid))

    deadline = started + seconds
    work = [one_client(host, random.Random(seed * 1000 + n), deadline, findings) for n in range(clients)]  # noqa: S311
    await asyncio.gather(watch(), *work)
    await health(host)
    return findings, resident_megabytes(host.process.pid) - marks[0]


def complaints(host: HostProcess) -> list[str]:
    """What the host's log tells of crashes, with the lines after it; what functions raise is logged as a warning."""
    marks = ("Exception in ASGI", "DIED", "unexpectedly", "never retrieved", "CRITICAL")
    lines = host.log().splitlines()
    found = [number for number, line in enumerate(lines) if any(mark in line for mark in marks)]
    return ["\n".join(lines[number : number + 60]) for number in found if number - 1 not in found][:10]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        host = HostProcess(APPS / "durable_app", Path(folder) / "data", port=0, admin_port=0)
        try:
            findings, grown = asyncio.run(fuzz(host, options.seconds, options.seed))
            wrong = [*findings.wrong, *complaints(host)]
            report = {
                "seed": options.seed,
                "requests": findings.statuses.total(),
                "statuses": dict(findings.statuses.most_common()),
                "host grew by MB": round(grown, 1),
                "workers restarted": host.metrics()["worker_restarts"],
            }
            print(json.dumps(report))
            print("\n\n".join(wrong[:40]))
            code = host.stop()
        finally:
            host.end()
    return 1 if wrong or code else 0


if __name__ == "__main__":
    sys.exit(main())
