"""Joins the Durable engine to this host: its functions run on the workers, its API is mounted on both ports.

Takes the app's functions, gives the engine and the ``durableClient`` inputs. In Azure the extension's API has the same
origin as the functions; here it answers there too, with the system key, while the keyless API that the SDK calls
answers on the admin port only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_azure.functions_host.durable import DurableEngine, DurableFunctions
from local_azure.functions_host.durable.writer import StoreUnusable
from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.output_bindings import OutputBindings
from local_azure.functions_host.worker_pool import WorkerPool

PUBLIC_PREFIX = "/runtime/webhooks/durabletask"
RPC_PREFIX = "/durabletask"
_SHOWN = 15
_TRIGGERS = {
    "orchestrationTrigger": ("orchestrator", "orchestration"),
    "activityTrigger": ("activity", "activity"),
    "entityTrigger": ("entity", "entityName"),
}


class DurableBinding:
    """The engine of one host and the functions it runs."""

    def __init__(
        self,
        functions: list[Function],
        pool: WorkerPool,
        outputs: OutputBindings,
        *,
        data_folder: Path,
        task_hub: str,
        durable_options: Mapping[str, Any],
        public_url: str,
        admin_url: str,
    ) -> None:
        self._pool = pool
        self._outputs = outputs
        self._functions: dict[tuple[str, str], Function] = {}
        for function in functions:
            if function.trigger.type in _TRIGGERS:
                kind, field = _TRIGGERS[function.trigger.type]
                name = str(function.trigger.fields.get(field) or function.name)
                self._functions[kind, name] = function
        try:
            self.engine = self._make_engine(data_folder / "durable", task_hub, durable_options, public_url, admin_url)
        except ValueError as error:
            raise SettingsInvalid(str(error)) from error

    def _make_engine(
        self, data_dir: Path, task_hub: str, durable_options: Mapping[str, Any], public_url: str, admin_url: str
    ) -> DurableEngine:
        return DurableEngine(
            data_dir=data_dir,
            task_hub=task_hub,
            public_base_url=public_url,
            rpc_base_url=f"{admin_url}{RPC_PREFIX}/",
            invoke=self._invoke,
            functions=DurableFunctions(
                orchestrators=self._names("orchestrator"),
                activities=self._names("activity"),
                entities=self._names("entity"),
            ),
            max_concurrent_activities=durable_options.get("maxConcurrentActivityFunctions"),
            max_concurrent_orchestrators=durable_options.get("maxConcurrentOrchestratorFunctions"),
            default_version=durable_options.get("defaultVersion"),
        )

    async def start(self) -> None:
        """Take up what was left.

        Raises:
            SettingsInvalid: the database cannot be used.
        """
        try:
            await self.engine.start()
        except StoreUnusable as error:
            raise SettingsInvalid(str(error)) from error

    def overview(self) -> dict[str, Any]:
        """What runs and what ended lately, for the live page."""
        return self.engine.overview(limit=_SHOWN, show_payloads=False)

    def _names(self, wanted: str) -> set[str]:
        return {name for kind, name in self._functions if kind == wanted}

    async def _invoke(self, kind: str, name: str, input_json: str) -> str:
        function = self._functions[kind, name]
        result = await self._pool.invoke(function, "text", (function.trigger.name, "string", input_json))
        await self._outputs.deliver(function, result)
        return "null" if result.returned is None else str(result.returned[1])

    def client_inputs(self, functions: list[Function]) -> dict[str, list[tuple[str, str, str]]]:
        """The standing ``durableClient`` inputs of each function that has one, by function id."""
        payload = self.engine.client_payload()
        return {
            function.function_id: [(name, "string", payload) for name in function.durable_client_names]
            for function in functions
            if function.durable_client_names
        }
