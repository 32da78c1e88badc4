"""CNS as a subject: the unmodified app on the local stand-ins, and its accepting half alone.

Own usage is the app's worker process. Beside it are the Functions host and the emulators, which play managed services.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load_plan import Plan, RequestMaker, Stream
from bench.peers.process_tree import cpu_seconds, pss_megabytes
from bench.peers.subject import Usage
from bench.process_usage import cpu_seconds as worker_cpu_seconds
from bench.process_usage import pss_megabytes as worker_pss_megabytes
from bench.provider_client import Provider
from bench.stack import APP, Stack, StackOptions, running_stack

# As in Azure: the stand-in's shorter one would publish part of a long backlog twice, which is not what is compared.
_SETTINGS = {"PUBLISH_PATIENCE_SECONDS": "60"}
_SUPERVISOR = "supervisor"
_PORT_OFFSET = 5000  # beside `make run` and `make bench`


class NotAtRest(Exception):
    """Messages were still under way when the measurement should have ended."""


class Cns:
    """One running stand-in with the app, asked in singles or in batches."""

    def __init__(self, stack: Stack, name: str, batch_items: int) -> None:
        self.name, self.port, self.provider = name, stack.api_port, stack.provider
        self._stack = stack
        roles = stack.roles()
        self._workers, self._supervisor = roles[APP], roles[_SUPERVISOR]
        plan = Plan(self.port, stack.headers, [], self.provider.url, seed=1)
        stream = Stream("peers", batch_items=batch_items, with_key=True)
        self._requests = iter(RequestMaker(plan, stream))

    def request(self, number: int) -> bytes:  # noqa: ARG002 - the bench's generator counts by itself
        return next(self._requests)

    def cpu(self) -> Usage:
        own = sum(map(worker_cpu_seconds, self._workers))
        return Usage(own, cpu_seconds(set(self._supervisor)) - own)

    def memory(self) -> Usage:
        own = sum(map(worker_pss_megabytes, self._workers))
        return Usage(own, pss_megabytes(set(self._supervisor)) - own)

    def settle(self) -> None:
        """No message waits and no function runs.

        Raises:
            NotAtRest: still not after a minute.
        """
        if not self._stack.wait_until_idle(seconds=60):
            raise NotAtRest(self.name)


@contextmanager
def running_cns(folder: Path, provider: Provider, *, accept_only: bool = False) -> Iterator[Stack]:
    """Up, and stopped at the end whatever happens."""
    options = StackOptions(
        folder / "data", provider, port_offset=_PORT_OFFSET, accept_only=accept_only, settings=_SETTINGS
    )
    with running_stack(options) as stack:
        yield stack
