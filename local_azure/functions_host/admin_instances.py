"""Instances over the admin port: list them, change their counts, take one away, kill one.

``GET /admin/instances``; ``POST`` there with ``{"function": NAME, "count": N}``; ``DELETE /admin/instances/{pid}``
takes that one away as Azure does, with ``?signal=KILL`` it crashes instead and is replaced. Changes need the master
key. This is the stand-in's own: in Azure the platform decides.
"""

import json
from typing import Any

from local_azure.functions_host.errors import HostError, SettingsInvalid
from local_azure.functions_host.http_front import Receive, Scope, Send, read_body, read_query, respond, respond_json
from local_azure.functions_host.scaling import Scaling

PREFIX = "/admin/instances"


class AdminInstances:
    """The pages under /admin/instances; the caller has checked the key of what changes something."""

    def __init__(self, scaling: Scaling) -> None:
        self._scaling = scaling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rest, method = scope["path"].removeprefix(PREFIX).strip("/"), scope["method"]
        if not rest and method == "GET":
            await respond_json(send, 200, self._scaling.describe())
        elif not rest and method == "POST":
            await self._set_count(await read_body(receive, 0), send)
        elif rest and method == "DELETE":
            await self._take_away(rest, read_query(scope).get("signal", "TERM").upper(), send)
        else:
            await respond(send, 405)

    async def _set_count(self, body: bytes, send: Send) -> None:
        try:
            name, count = _read_change(body)
            await self._scaling.set_count(name, count)
        except (ValueError, SettingsInvalid) as error:
            await respond_json(send, 400, {"message": str(error)})
        except HostError as error:
            await respond_json(send, 500, {"message": str(error)})
        else:
            await respond_json(send, 200, self._scaling.describe())

    async def _take_away(self, rest: str, signal_name: str, send: Send) -> None:
        pid = int(rest) if rest.isascii() and rest.isdigit() and len(rest) < 10 else 0
        if signal_name not in ("TERM", "KILL"):
            await respond_json(send, 400, {"message": "signal is TERM or KILL"})
            return
        try:
            found = self._scaling.kill(pid) if signal_name == "KILL" else await self._scaling.remove(pid)
        except SettingsInvalid as error:
            await respond_json(send, 409, {"message": str(error)})
            return
        if found:
            await respond_json(send, 200, self._scaling.describe())
        else:
            await respond_json(send, 404, {"message": f"no worker has the pid {rest}"})


def _read_change(body: bytes) -> tuple[str, int]:
    """Name and count.

    Raises:
        ValueError: the body is something else.
    """
    shape = 'the body must be a JSON object like {"function": "NAME", "count": 2}'
    try:
        change: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(shape) from error
    match change:
        case {"function": str(name), "count": int(count)} if not isinstance(count, bool):
            return name, count
    raise ValueError(shape)
