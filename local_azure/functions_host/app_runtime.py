"""The app inside a worker: loaded, indexed and invoked by Microsoft's own ``azure-functions-runtime``.

Takes an app folder, gives the functions' metadata (bindings as the JSON texts a real host gets) and one coroutine
that invokes a function with datums. The runtime normally talks protobuf; its ``native_invocation`` module does not,
and for the start-up requests a stand-in for the protobuf module is enough: each message class becomes a record.
Pinned to azure-functions-runtime 1.3.0, whose native entry is semi-internal.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local_azure.functions_host.errors import IndexFailed


class _RecordModule:
    """Stands in for the generated protobuf module: any attribute is a class of records with keyword fields."""

    def __init__(self) -> None:
        self.StatusResult = type("StatusResult", (SimpleNamespace,), {"Failure": 0, "Success": 1})
        self.BindingInfo = type("BindingInfo", (SimpleNamespace,), {"in": 0, "out": 1, "inout": 2, "undefined": 0})

    def __getattr__(self, name: str) -> type[SimpleNamespace]:
        record = type(name, (SimpleNamespace,), {})
        setattr(self, name, record)
        return record


def _check_status(response: Any) -> None:
    """Raise IndexFailed with the runtime's own message and stack."""
    result = response.result
    if result.status == result.Success:
        return
    raise IndexFailed(f"{result.exception.message}\n{result.exception.stack_trace}".rstrip())


async def load_app(folder: Path) -> list[dict[str, Any]]:
    """Index the app in ``folder`` and describe its functions.

    Raises:
        IndexFailed: the app has an error that makes the real host unload it, too.
    """
    sys.path[:] = [str(folder), *[entry for entry in sys.path if entry not in ("", str(folder))]]
    from azure_functions_runtime import handle_event  # noqa: PLC0415 - the app's own packages must win on sys.path
    from azure_functions_runtime.utils.threadpool import start_threadpool_executor  # noqa: PLC0415

    start_threadpool_executor()
    request = SimpleNamespace(
        request=SimpleNamespace(
            worker_init_request=SimpleNamespace(capabilities={}, function_app_directory=str(folder))
        ),
        properties={"host": "127.0.0.1", "protos": _RecordModule()},
    )
    _check_status(await handle_event.worker_init_request(request))
    response = await handle_event.functions_metadata_request(request)
    if response.function_metadata_results is None:
        raise IndexFailed(f"no functions found: {folder} has no function_app.py, or it registers nothing")
    return [_describe(metadata) for metadata in response.function_metadata_results]


def _describe(metadata: Any) -> dict[str, Any]:
    from azure_functions_runtime.handle_event import _functions  # noqa: PLC0415 - see load_app

    retry = metadata.retry_options
    return {
        "name": metadata.name,
        "function_id": metadata.function_id,
        "is_async": _functions.get_function(metadata.function_id).is_async,
        "raw_bindings": list(metadata.raw_bindings),
        "retry": None if retry is None else _describe_retry(retry),
    }


def _describe_retry(retry: Any) -> dict[str, Any]:
    fields = {"strategy": retry.retry_strategy, "max_retry_count": retry.max_retry_count}
    for name in ("delay_interval", "minimum_interval", "maximum_interval"):
        interval = getattr(retry, name, None)
        if interval is not None:
            fields[f"{name}_seconds"] = interval.total_seconds()
    return fields
