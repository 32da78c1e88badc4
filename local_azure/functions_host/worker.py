"""A worker process: loads the app once and runs many invocations concurrently on one loop.

Started by the host as ``python -m local_azure.functions_host.worker --number N --channel FD``; its CPU time is the
app's cost. Takes ``invoke`` frames, gives ``result`` frames (see frames.py). Leaves at once when the host is gone. On
SIGTERM, Azure's scale-in, it takes nothing new, gives what runs its grace, and leaves with 143 whatever still runs.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvloop

from local_azure.functions_host.app_runtime import load_app
from local_azure.functions_host.errors import IndexFailed
from local_azure.functions_host.frames import Frame, FrameChannel

_HOST_GONE = 70
_LEFT_ON_SIGTERM = 143


class Worker:
    """Runs invocations; one per process."""

    def __init__(self) -> None:
        from azure_functions_runtime.native_invocation import (  # noqa: PLC0415 - only after load_app set sys.path
            invocation_request_native,
        )

        from local_azure.functions_host import datums  # noqa: PLC0415 - imports the runtime, too

        self._loop = asyncio.get_running_loop()
        self._invoke = invocation_request_native
        self._readers = datums.READERS
        self._plain_output = datums.plain_output
        self._text_inputs = datums.text_inputs
        self._standing_inputs: dict[str, list[tuple[str, Any]]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self.channel: FrameChannel | None = None
        self.stopped = asyncio.Event()
        self.exit_code = 0
        self._leaving: asyncio.Task[None] | None = None

    def receive(self, frame: Frame) -> None:
        kind = frame[0]
        if kind == "invoke":
            self._running[frame[1]] = self._loop.create_task(self._run(frame))
        elif kind == "cancel":
            task = self._running.get(frame[1])
            if task is not None:
                task.cancel()
        elif kind == "setup":
            self._standing_inputs = {
                function_id: [self._text_inputs(payload)[0][0] for payload in payloads]
                for function_id, payloads in frame[1].items()
            }
        elif kind == "stop":
            self.stopped.set()

    def leave(self, grace_seconds: float) -> None:
        """What SIGTERM does; a second one changes nothing."""
        if self._leaving is None and self.channel is not None:
            self.channel.send(("leaving",))
            self._leaving = self._loop.create_task(self._leave(grace_seconds))

    async def _leave(self, grace_seconds: float) -> None:
        await asyncio.sleep(0)  # the frame above goes first, so that little comes after it
        deadline = self._loop.time() + grace_seconds
        while self._running and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait(self._running.values(), timeout=left)
        if self._running:
            logging.getLogger("host.worker").warning("SIGTERM: %d invocations are aborted", len(self._running))
            logging.shutdown()
            os._exit(_LEFT_ON_SIGTERM)  # no clean-up of theirs: in Azure the process is gone, too
        self.exit_code = _LEFT_ON_SIGTERM
        self.stopped.set()

    async def _run(self, frame: Frame) -> None:
        _, request_id, function_id, kind, payload, invocation_id, trace_parent, trace_state, retry = frame
        try:
            inputs, metadata = self._readers[kind](payload)
            standing = self._standing_inputs.get(function_id)
            if standing:
                inputs += standing
            retry_count, max_retry_count = retry
            ok, returned, outputs, error, trace = await self._invoke(
                invocation_id,
                function_id,
                inputs,
                metadata,
                trace_parent,
                trace_state,
                retry_count,
                max_retry_count,
            )
            plain = self._plain_output
            result: Frame = (
                "result",
                request_id,
                ok,
                plain(returned) if ok else None,
                [(name, plain(datum)) for name, datum in outputs],
                error,
                trace,
            )
        except asyncio.CancelledError:
            result = ("result", request_id, False, None, [], "CancelledError('the host cancelled the invocation')", "")
        finally:
            self._running.pop(request_id, None)
        if self.channel is not None:
            self.channel.send(result)


def _leave_with_the_host(channel: socket.socket) -> None:
    """Exit when the host's end closes, even while the app blocks the loop."""
    poll = select.poll()
    poll.register(channel.fileno(), 0)  # hang-up is always reported
    poll.poll()
    os._exit(_HOST_GONE)


class _InvocationName(logging.Filter):
    """Puts the invocation id that a log line belongs to into the record."""

    def filter(self, record: logging.LogRecord) -> bool:
        from azure_functions_runtime.utils.executor import invocation_id_cv  # noqa: PLC0415 - see Worker

        record.invocation = (invocation_id_cv.get() or "-")[:8]
        return True


def _log_to_stderr(number: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_InvocationName())
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s %(levelname)s worker{number} %(name)s [%(invocation)s] %(message)s")
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(os.environ.pop("CNS_HOST_WORKER_LOG_LEVEL", "INFO"))
    logging.getLogger("azure.functions").setLevel(logging.WARNING)  # the runtime's own chatter, not the app's


async def _serve(channel_socket: socket.socket, folder: Path, grace_seconds: float) -> int:
    """The exit code."""
    loop = asyncio.get_running_loop()
    early: list[Frame] = []
    lost = asyncio.Event()
    channel = FrameChannel(early.append, lost.set)
    await loop.create_unix_connection(lambda: channel, sock=channel_socket)
    try:
        functions = await load_app(folder)
    except IndexFailed as failure:
        channel.send(("index_failed", str(failure)))
        channel.close()
        await lost.wait()
        return 0
    worker = Worker()
    worker.channel = channel
    loop.add_signal_handler(signal.SIGTERM, worker.leave, grace_seconds)
    channel.receive = worker.receive
    for frame in early:
        worker.receive(frame)
    channel.send(("ready", functions))
    await worker.stopped.wait()
    channel.close()
    return worker.exit_code


def main() -> None:
    parser = argparse.ArgumentParser(description="One worker process of the local functions host (started by it).")
    parser.add_argument("--number", type=int, required=True, help="number of this worker, from 0")
    parser.add_argument("--channel", type=int, required=True, help="file descriptor of the socket to the host")
    parser.add_argument("--grace", type=float, default=3.0, help="seconds that invocations get after SIGTERM")
    parser.add_argument("--serves", help="shown by ps: the function or group that this worker is for")
    options = parser.parse_args()
    python_path = os.environ.pop("CNS_HOST_PYTHONPATH", "")
    if python_path:
        os.environ["PYTHONPATH"] = python_path
    else:
        os.environ.pop("PYTHONPATH", None)
    _log_to_stderr(options.number)
    channel = socket.socket(fileno=options.channel)
    threading.Thread(target=_leave_with_the_host, args=(channel,), daemon=True).start()
    code = 0
    with contextlib.suppress(KeyboardInterrupt):
        code = uvloop.run(_serve(channel, Path.cwd(), options.grace))
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # clients that the app keeps for ever would complain about being closed by the interpreter's exit


if __name__ == "__main__":
    main()
