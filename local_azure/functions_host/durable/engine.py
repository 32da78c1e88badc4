"""The Durable engine: an event-sourced, SQLite-backed stand-in for the Durable Functions extension.

Takes a way to run functions on workers and the app's durable functions; gives the durableClient binding's payload and
the extension's HTTP API as an ASGI application. Everything accepted survives SIGKILL: ``start`` reloads live
instances, their inboxes and the work they are owed. Compatible with azure-functions-durable 1.7.0 (JSON protocol).
"""

import os
import secrets
from pathlib import Path
from typing import Any

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.activities import Activities
from local_azure.functions_host.durable.asgi import Receive, Scope, Send
from local_azure.functions_host.durable.catalog import DurableFunctions
from local_azure.functions_host.durable.conclusion import Conclusion
from local_azure.functions_host.durable.decisions import TIMER
from local_azure.functions_host.durable.endings import Endings
from local_azure.functions_host.durable.entities import Entities
from local_azure.functions_host.durable.history import EventType, new_event
from local_azure.functions_host.durable.http_api import HttpApi
from local_azure.functions_host.durable.http_call import HttpCaller
from local_azure.functions_host.durable.hub import Hub, Invoke
from local_azure.functions_host.durable.instance import Message, Work
from local_azure.functions_host.durable.links import Links
from local_azure.functions_host.durable.operations import Operations
from local_azure.functions_host.durable.overview import overview
from local_azure.functions_host.durable.registry import Registry
from local_azure.functions_host.durable.rewinding import Rewinding
from local_azure.functions_host.durable.store import Store
from local_azure.functions_host.durable.timers import Timers
from local_azure.functions_host.durable.turns import Turns

_CONCURRENT_PER_CORE = 10
"""The extension's default for activities, orchestrators and entities alike."""


class DurableEngine:
    """One task hub. ``start`` before use; ``stop`` ends running work, which the next ``start`` takes up again."""

    def __init__(
        self,
        *,
        data_dir: Path,
        task_hub: str,
        public_base_url: str,
        rpc_base_url: str,
        invoke: Invoke,
        functions: DurableFunctions,
        clock: instant.Clock = instant.system_clock,
        max_concurrent_activities: int | None = None,
        max_concurrent_orchestrators: int | None = None,
        default_version: str | None = None,
        allow_http_to_any_host: bool = False,
        synchronous: str = "NORMAL",
    ) -> None:
        """Describe the task hub; nothing is opened yet.

        Args:
            data_dir: Where the database and the system key live.
            task_hub: The hub's name, which names the database.
            public_base_url: The origin of the host's public listener.
            rpc_base_url: Where the SDK calls the keyless API; loopback only.
            invoke: Runs ``(kind, function name, input JSON)`` on a worker.
            functions: The app's durable functions.
            clock: The present instant.
            max_concurrent_activities: ``maxConcurrentActivityFunctions``; ten per core when None.
            max_concurrent_orchestrators: ``maxConcurrentOrchestratorFunctions``, for entities too; likewise.
            default_version: ``defaultVersion`` of host.json.
            allow_http_to_any_host: Whether ``call_http`` may leave loopback.
            synchronous: SQLite's setting; NORMAL survives a killed process, FULL also a power cut.
        """
        usual_limit = _CONCURRENT_PER_CORE * (os.cpu_count() or 1)
        turn_limit = max_concurrent_orchestrators or usual_limit
        self._store = Store(data_dir, task_hub, synchronous=synchronous)
        self._hub = Hub(self._store, functions, invoke, clock, default_version=default_version)
        self._registry = Registry(self._hub)
        self._timers = Timers(clock, self._fire)
        self._endings = Endings(self._hub, self._registry)
        self._activities = Activities(
            self._hub,
            self._registry.deliver,
            HttpCaller(allow_any_host=allow_http_to_any_host),
            limit=max_concurrent_activities or usual_limit,
        )
        self._entities = Entities(self._hub, self._registry, limit=turn_limit)
        self._turns = Turns(self._hub, self._registry, self._conclusion(), limit=turn_limit)
        self.operations = Operations(self._hub, self._registry, self._endings)
        self._links = Links(public_base_url, rpc_base_url, task_hub, _system_key(data_dir))
        self._api = HttpApi(self._links, self.operations, self._rewinding(), self._entities, self._hub)

    def _conclusion(self) -> Conclusion:
        return Conclusion(
            hub=self._hub,
            registry=self._registry,
            activities=self._activities,
            timers=self._timers,
            entities=self._entities,
            endings=self._endings,
        )

    def _rewinding(self) -> Rewinding:
        return Rewinding(
            hub=self._hub,
            registry=self._registry,
            operations=self.operations,
            turns=self._turns,
            activities=self._activities,
            timers=self._timers,
            entities=self._entities,
        )

    @property
    def system_key(self) -> str:
        """The key of the public API (``code=``); kept in the data folder."""
        return self._links.system_key

    def client_payload(self) -> str:
        """The JSON that a ``durableClient`` binding hands to the function."""
        return self._links.client_payload()

    def overview(self, *, limit: int = 25, show_payloads: bool = True) -> dict[str, Any]:
        """Running and recently finished instances with their history, JSON-able, for a page that people look at."""
        return overview(self._hub, task_hub=self._links.task_hub, limit=limit, show_payloads=show_payloads)

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The extension's HTTP API, public (with the system key) and for the SDK (keyless)."""
        await self._api(scope, receive, send)

    async def start(self) -> None:
        """Open the store and take up what was left.

        Raises:
            StoreUnusable: Another engine holds this task hub.
        """
        self._store.open()
        self._recover()
        self._hub.spawn(self._timers.run())

    async def stop(self) -> None:
        """End running work and close the store."""
        await self._hub.stop_tasks()
        await self._store.close()

    def _recover(self) -> None:
        for instance in self._store.live_instances():
            self._registry.adopt(instance)
        for number, target, event in self._store.inbox():
            message = Message(event, inbox_number=number)
            if target.startswith("@"):
                self._entities.adopt(target, message)
            elif (instance := self._registry.get(target)) is not None:
                instance.inbox.append(message)
        for work in self._store.work():
            self._take_up(work)
        for instance in self._registry.all():
            self._turns.wake(instance)

    def _take_up(self, work: Work) -> None:
        if work.kind != TIMER:
            self._activities.dispatch(work)
        elif (instance := self._registry.get(work.instance_id)) is not None:
            instance.timers[work.task] = work
            self._timers.add(work)

    def _fire(self, timer: Work) -> None:
        instance = self._registry.get(timer.instance_id)
        if instance is None or instance.execution != timer.execution:
            return
        event = new_event(EventType.TIMER_FIRED, self._hub.now(), TimerId=timer.task, FireAt=timer.due)
        instance.inbox.append(Message(event, work_number=timer.number))
        self._turns.wake(instance)


def _system_key(data_dir: Path) -> str:
    """The key kept in the data folder; made, readable only by the owner, when there is none."""
    path = data_dir / "durabletask_extension.key"
    if path.exists():
        return path.read_text().strip()
    data_dir.mkdir(parents=True, exist_ok=True)
    key = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
    return key
