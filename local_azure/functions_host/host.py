"""One functions host: puts settings, workers, listeners, HTTP front end and admin API together, and takes them down.

Order of start: sockets bound (a port in use is reported before anything runs), workers index the app, listeners start,
HTTP answers. Order of stop: listeners and HTTP take nothing new, what runs gets up to ten seconds, workers end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_azure.functions_host.access_keys import AccessKeys
from local_azure.functions_host.admin_api import AdminApi
from local_azure.functions_host.embedded_server import EmbeddedServer
from local_azure.functions_host.function_table import Function, read_functions
from local_azure.functions_host.host_settings import load_host_options
from local_azure.functions_host.http_front import HttpFront
from local_azure.functions_host.invocation_metrics import Metrics
from local_azure.functions_host.listeners import Surroundings
from local_azure.functions_host.output_bindings import OutputBindings
from local_azure.functions_host.scaling import Scaling
from local_azure.functions_host.worker_pool import WorkerPool
from local_azure.functions_host.worker_process import WorkerSettings

if TYPE_CHECKING:
    from local_azure.functions_host.durable_binding import DurableBinding

_LOG = logging.getLogger("host")
_DRAIN_SECONDS = 10.0


@dataclass(frozen=True)
class HostArguments:
    """What the command line decides."""

    app_folder: Path
    data_folder: Path
    workers: int
    instances: Mapping[str, int]  # by function or group
    scale_in_seconds: float
    public_socket: socket.socket
    admin_socket: socket.socket
    environment: Mapping[str, str]

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.public_socket.getsockname()[1]}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_socket.getsockname()[1]}"


class FunctionsHost:
    """A running host."""

    def __init__(self, arguments: HostArguments) -> None:
        self._arguments = arguments
        self._options = load_host_options(arguments.app_folder, arguments.environment)
        self._metrics = Metrics()
        settings = WorkerSettings(
            folder=arguments.app_folder,
            log_level=self._options.worker_log_level,
            grace_seconds=arguments.scale_in_seconds,
        )
        self._pool = WorkerPool(settings, self._metrics, self._options.function_timeout_seconds)
        self._scaling: Scaling
        self._servers: list[EmbeddedServer] = []
        self._front: HttpFront
        self._admin: AdminApi
        self._outputs: OutputBindings
        self._durable: DurableBinding | None = None

    async def start(self) -> int:
        """Start everything; the number of functions.

        Raises:
            HostError: the app cannot be indexed or a setting cannot be used; the workers are stopped again.
        """
        logging.getLogger().setLevel(self._options.host_log_level)
        try:
            described = await self._pool.start(self._arguments.workers)
            functions = read_functions(described, self._arguments.environment)
            self._assemble(functions)
            if self._durable is not None:
                await self._durable.start()
            await self._scaling.start(self._arguments.instances)
        except BaseException:
            await self._pool.stop()
            raise
        self._serve(self._front, self._arguments.public_socket)
        self._serve(self._admin, self._arguments.admin_socket)
        return len(functions)

    def _assemble(self, functions: list[Function]) -> None:
        arguments = self._arguments
        keys = AccessKeys(arguments.data_folder, [function.name for function in functions])
        host_id = _host_id(arguments.data_folder)
        self._outputs = OutputBindings(functions, arguments.environment)
        surroundings = Surroundings(
            pool=self._pool,
            outputs=self._outputs,
            options=self._options,
            environment=arguments.environment,
            data_folder=arguments.data_folder,
            owner=host_id,
        )
        self._scaling = Scaling(functions, surroundings, arguments.scale_in_seconds)
        self._front = HttpFront(
            functions=functions,
            pool=self._pool,
            keys=keys,
            options=self._options,
            environment=arguments.environment,
            deliver_outputs=self._outputs.deliver,
        )
        self._admin = AdminApi(
            functions=functions,
            surroundings=surroundings,
            scaling=self._scaling,
            keys=keys,
            metrics=self._metrics,
            options=self._options,
            host_id=host_id,
            public_url=arguments.public_url,
        )

        if any(function.is_durable for function in functions):
            self._join_durable(functions)

    def _join_durable(self, functions: list[Function]) -> None:
        # Imported here: see listeners.py.
        from local_azure.functions_host.durable_binding import PUBLIC_PREFIX, RPC_PREFIX, DurableBinding  # noqa: PLC0415

        durable = DurableBinding(
            functions,
            self._pool,
            self._outputs,
            data_folder=self._arguments.data_folder,
            task_hub=self._options.hub_name,
            durable_options=self._options.durable,
            public_url=self._arguments.public_url,
            admin_url=self._arguments.admin_url,
        )
        self._pool.set_standing_inputs(durable.client_inputs(functions))
        self._front.mount(PUBLIC_PREFIX, durable.engine.asgi)
        self._admin.mount(PUBLIC_PREFIX, durable.engine.asgi)
        self._admin.mount(RPC_PREFIX, durable.engine.asgi)
        self._admin.add_page("/orchestrations.json", durable.overview)
        self._durable = durable

    def _serve(self, application: HttpFront | AdminApi, bound: socket.socket) -> None:
        server = EmbeddedServer(application)
        server.start_on(bound)
        self._servers.append(server)

    async def stop(self) -> None:
        """Drain and stop everything."""
        self._admin.state = "Stopping"
        self._front.is_stopping = True
        await self._scaling.stop(_DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._front.answered.wait()
        if self._durable is not None:
            await self._durable.engine.stop()
        await asyncio.gather(*(server.stop() for server in self._servers))
        await self._outputs.close()
        await self._pool.stop()


def _host_id(data_folder: Path) -> str:
    """A name for this host that survives restarts, so that it finds its own change-feed leases again."""
    path = data_folder / "host_id"
    if not path.exists():
        path.write_text(f"host-{uuid.uuid4().hex[:12]}\n")
    return path.read_text().strip()
