"""The load generator: a process that takes a plan on stdin, carries it out, and writes what happened into a file.

``python -m bench.load_generator load.json < plan.json``. Answers are kept as they came and read after the load, and
requests are written before it where their number is known, so that the generator costs little while the service is
measured; what it did cost is in its answer. In open loop a request's clock starts when it was due, not when a
connection became free.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench.http_connection import ConnectionLost, HttpConnection, connect
from bench.load_plan import Plan, RequestMaker, Stream
from bench.load_result import Load, Request

_MAX_CONNECTIONS = 256
_PAUSE_AFTER_REFUSAL_SECONDS = 0.05  # so that a service that is away is asked often, and not all the time
_AHEAD = 200  # requests of a stream that are written before the load begins


class Connections:
    """Connections for the taking; a new one when none is idle, up to the most."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._idle: list[HttpConnection] = []
        self._gate = asyncio.Semaphore(_MAX_CONNECTIONS)

    async def ask(self, raw: bytes) -> tuple[int, bytes]:
        """(status, body); (0, reason) when there was no answer."""
        async with self._gate:
            try:
                connection = self._take() or await connect(self._plan.host, self._plan.port)
                async with asyncio.timeout(self._plan.patience_seconds):
                    answer = await connection.ask(raw)
            except ConnectionLost as error:
                return 0, str(error).encode()
            except TimeoutError:
                connection.close()
                return 0, b"no answer in time"
            self._idle.append(connection)
            return answer

    def _take(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None


class StreamRun:
    """One stream being carried out."""

    def __init__(self, stream: Stream, plan: Plan, connections: Connections) -> None:
        self._stream = stream
        self._connections = connections
        requests: Iterator[bytes] = iter(RequestMaker(plan, stream))
        written = list(itertools.islice(requests, min(stream.count or 0, _AHEAD)))
        self._requests = itertools.islice(itertools.chain(written, requests), stream.count or None)
        self.done: list[Request] = []

    async def run(self) -> None:
        started = time.monotonic()
        ends = started + self._stream.seconds if self._stream.seconds else float("inf")
        if self._stream.rate:
            await self._open_loop(started, ends)
        else:
            await asyncio.gather(*(self._closed_loop(ends) for _ in range(self._stream.connections)))

    async def _closed_loop(self, ends: float) -> None:
        while time.monotonic() < ends and (raw := next(self._requests, None)) is not None:
            if not await self._one(raw, time.monotonic()):
                await asyncio.sleep(_PAUSE_AFTER_REFUSAL_SECONDS)

    async def _open_loop(self, started: float, ends: float) -> None:
        tasks = set()
        for number, raw in enumerate(self._requests):
            due = started + number / self._stream.rate
            if due >= ends:
                break
            await asyncio.sleep(due - time.monotonic())
            tasks.add(asyncio.create_task(self._one(raw, due)))
        await asyncio.gather(*tasks)

    async def _one(self, raw: bytes, due: float) -> bool:
        status, body = await self._connections.ask(raw)
        self.done.append(Request(due, time.monotonic(), status, body))
        return 200 <= status < 300


async def carry_out(plan: Plan) -> Load:
    connections = Connections(plan)
    runs = {stream.name: StreamRun(stream, plan, connections) for stream in plan.streams}
    cpu, started = time.process_time(), time.monotonic()
    await asyncio.gather(*(run.run() for run in runs.values()))
    ended, cpu = time.monotonic(), time.process_time() - cpu
    return Load(started, ended, cpu, {name: run.done for name, run in runs.items()})


def main() -> None:
    plan = Plan.from_json(sys.stdin.buffer.read())
    Path(sys.argv[1]).write_bytes(uvloop.run(carry_out(plan)).to_json())


if __name__ == "__main__":
    main()
