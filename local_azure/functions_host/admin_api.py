"""The admin port: health, host status, functions, manual runs, instances, metrics, the live page, Durable's HTTP API.

Bound to the loopback. Reading is open there; starting a function or changing instances needs the master key
(``x-functions-key`` or ``?code=``). Shapes follow the real host's ``/admin`` API as far as documented.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_azure.functions_host.access_keys import AccessKeys
from local_azure.functions_host.admin_instances import PREFIX as INSTANCES_PREFIX
from local_azure.functions_host.admin_instances import AdminInstances
from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.host_settings import HostOptions
from local_azure.functions_host.http_front import (
    AsgiApp,
    Receive,
    Scope,
    Send,
    read_body,
    read_headers,
    read_query,
    respond,
    respond_json,
    route_template,
)
from local_azure.functions_host.invocation_metrics import Metrics
from local_azure.functions_host.listeners import Surroundings, has_listener, run_by_hand
from local_azure.functions_host.scaling import Scaling

_PAGE = Path(__file__).with_name("live_page.html")
_SCRIPT = "live_timeline.js"  # stands in the page as a comment, so that the page is one document
_HTML = b"text/html; charset=utf-8"


class AdminApi:
    """The ASGI application of the admin port."""

    def __init__(
        self,
        *,
        functions: list[Function],
        surroundings: Surroundings,
        scaling: Scaling,
        keys: AccessKeys,
        metrics: Metrics,
        options: HostOptions,
        host_id: str,
        public_url: str,
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._surroundings = surroundings
        self._scaling = scaling
        self._instances = AdminInstances(scaling)
        self._keys = keys
        self._metrics = metrics
        self._options = options
        self._host_id = host_id
        self._public_url = public_url
        self.state = "Running"
        self._mounts: list[tuple[str, AsgiApp]] = []
        self._pages: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/health"): lambda: {"status": self.state},
            ("GET", "/admin/host/ping"): dict,
            ("POST", "/admin/host/ping"): dict,
            ("GET", "/admin/host/status"): self._status,
            ("GET", "/admin/functions"): lambda: [self._describe(f) for f in self._functions.values()],
            ("GET", "/metrics.json"): self._metrics_document,
        }

    def add_page(self, path: str, document: Callable[[], Any]) -> None:
        """Answer a GET of the path with the JSON document."""
        self._pages["GET", path] = document

    def mount(self, prefix: str, application: AsgiApp) -> None:
        self._mounts.append((prefix, application))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        for prefix, application in self._mounts:
            if path == prefix or path.startswith(f"{prefix}/"):
                await application(scope, receive, send)
                return
        page = self._pages.get(("GET" if method == "HEAD" else method, path.rstrip("/") or "/"))
        if page is not None:
            await respond_json(send, 200, page())
        elif path == "/" and method in ("GET", "HEAD"):
            await respond(send, 200, _live_page(), _HTML)
        elif path.startswith("/admin/functions/"):
            await self._one_function(path.split("/")[3], scope, receive, send)
        elif path == INSTANCES_PREFIX or path.startswith(f"{INSTANCES_PREFIX}/"):
            if method == "GET" or self._has_master_key(scope):
                await self._instances(scope, receive, send)
            else:
                await respond(send, 401)
        else:
            await respond(send, 404)

    async def _one_function(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        function = self._functions.get(name.lower())
        if function is None:
            await respond(send, 404)
        elif scope["method"] == "GET":
            await respond_json(send, 200, self._describe(function))
        elif scope["method"] != "POST":
            await respond(send, 405)
        elif not self._has_master_key(scope):
            await respond(send, 401)
        elif not has_listener(function):
            await respond_json(send, 400, {"message": f"a {function.trigger.type} is not started here"})
        else:
            await self._run_by_hand(function, await read_body(receive, 0), send)

    def _has_master_key(self, scope: Scope) -> bool:
        return self._keys.is_master(read_headers(scope).get("x-functions-key") or read_query(scope).get("code", ""))

    async def _run_by_hand(self, function: Function, body: bytes, send: Send) -> None:
        try:
            given = json.loads(body).get("input", "") if body else ""
            text = given if isinstance(given, str) else json.dumps(given)
            await run_by_hand(function, self._surroundings, text)
        except (ValueError, AttributeError, RecursionError):
            await respond_json(send, 400, {"message": 'the body must be a JSON object like {"input": "..."}'})
        except InvocationFailed as failure:
            await respond_json(send, 500, {"message": failure.message})
        else:
            await respond(send, 202)

    def _status(self) -> dict[str, Any]:
        return {
            "id": self._host_id,
            "state": self.state,
            "version": "4.0.0-local",
            "instanceId": self._host_id,
            "processUptime": int((time.time() - self._metrics.started) * 1000),
            "functionAppContentEditingState": "NotAllowed",
        }

    def _describe(self, function: Function) -> dict[str, Any]:
        document: dict[str, Any] = {
            "name": function.name,
            "language": "python",
            "isDisabled": function.is_disabled,
            "isAsync": function.is_async,
            "config": {"bindings": [dict(function.trigger.fields), *(dict(out.fields) for out in function.outputs)]},
        }
        if function.trigger.type == "httpTrigger":
            document["invoke_url_template"] = f"{self._public_url}/{route_template(function, self._options)}"
        return document

    def _metrics_document(self) -> dict[str, Any]:
        times = os.times()
        return {
            "state": self.state,
            "uptime_seconds": round(time.time() - self._metrics.started, 1),
            "functions": {
                function.name: {"trigger": function.trigger.type, **self._metrics.of(function.name).summary()}
                for function in self._functions.values()
            },
            "workers": self._surroundings.pool.describe(),
            "worker_restarts": self._surroundings.pool.restarts,
            "host": {"pid": os.getpid(), "cpu_seconds": round(times.user + times.system, 3)},
            "listeners": self._scaling.describe_listeners(),
            "failures": list(self._metrics.failures)[::-1],
        }


def _live_page() -> bytes:
    page = _PAGE.read_text()
    return page.replace(f"/* {_SCRIPT} */", _PAGE.with_name(_SCRIPT).read_text()).encode()
