"""A consumer's callback endpoint: POST /callbacks/{name} stores what arrives, GET lists it, DELETE forgets it.

PUT …/secret makes the sandbox check signatures (Standard Webhooks); PUT …/behaviour makes the endpoint misbehave.
Arrivals and secrets survive a restart, behaviours do not. Bounded: the last 50,000 arrivals and 64 MB of all names.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from local_azure.provider_sandbox import signatures
from local_azure.provider_sandbox.callback_behaviour import BehaviourError, CallbackBehaviour, misbehave, read_behaviour
from local_azure.provider_sandbox.http_exchange import Reply, Request, json_reply, problem
from local_azure.provider_sandbox.inbox import iso_time
from local_azure.provider_sandbox.journal import JsonLinesFile

PREFIX = "/callbacks/"
MAX_BODY_BYTES = 1024 * 1024
KEPT_ARRIVALS = 50_000
KEPT_BYTES = 64 * 1024 * 1024
MAX_NAMES = 1_000
_COMPACT_BYTES = 4 * KEPT_BYTES

Arrival = dict[str, Any]


@dataclass(slots=True)
class _Endpoint:
    behaviour: CallbackBehaviour = field(default_factory=CallbackBehaviour)
    secret: str = ""
    keys: tuple[bytes, ...] = ()


class Callbacks:
    """All callback endpoints by name, and what arrived at them, oldest first."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._journal = JsonLinesFile(folder / "callbacks.jsonl")
        self._clock = clock
        self._endpoints: dict[str, _Endpoint] = {}
        self._arrivals: deque[Arrival] = deque()
        self._kept_bytes = 0
        self._last_id = 0
        self.revision = 0
        self._restore()

    async def handle(self, request: Request) -> Reply | None:
        name, _, part = request.path.removeprefix(PREFIX).partition("/")
        if not name or len(name) > 200:
            return problem(404, "a callback endpoint is /callbacks/{name}")
        if name not in self._endpoints and len(self._endpoints) >= MAX_NAMES:
            return problem(507, f"no more than {MAX_NAMES} callback endpoints")
        if part == "" and request.method == "POST":
            return await self._receive(name, request)
        if part == "" and request.method == "GET":
            return json_reply([arrival for arrival in self._arrivals if arrival["name"] == name])
        if part == "" and request.method == "DELETE":
            return self._forget(name)
        if part == "secret" and request.method == "PUT":
            return self._set_secret(name, request.body)
        if part == "behaviour" and request.method in ("GET", "PUT"):
            return self._behaviour(name, request)
        return problem(405, "POST, GET or DELETE /callbacks/{name}; PUT …/secret; PUT …/behaviour")

    def newest(self, limit: int) -> list[Arrival]:
        """The newest arrivals of all names, newest first."""
        return list(islice(reversed(self._arrivals), limit))

    def total(self) -> int:
        return len(self._arrivals)

    def close(self) -> None:
        self._journal.close()

    async def _receive(self, name: str, request: Request) -> Reply | None:
        if len(request.body) > MAX_BODY_BYTES:
            return problem(413, "a callback may have 1 MB")
        endpoint = self._endpoints.setdefault(name, _Endpoint())
        behaviour = endpoint.behaviour.take()
        self._last_id += 1
        arrival = {
            "id": self._last_id,
            "name": name,
            "receivedAt": iso_time(self._clock()),
            "headers": request.headers,
            "body": request.body.decode("utf-8", "replace"),
            "answered": behaviour.described,
        }
        self._journal.append([{"arrival": arrival}])
        self._keep(arrival)
        self.revision += 1
        if self._journal.size_bytes > _COMPACT_BYTES:
            self._compact()
        return await misbehave(behaviour)

    def _keep(self, arrival: Arrival) -> None:
        arrival["signature"] = self._judge(arrival)
        self._arrivals.append(arrival)
        self._kept_bytes += len(arrival["body"])
        while len(self._arrivals) > KEPT_ARRIVALS or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._arrivals.popleft()["body"])

    def _judge(self, arrival: Arrival) -> str:
        keys = self._endpoints[arrival["name"]].keys
        if not keys:
            return "unchecked"
        # Judged as of its arrival: a signature's five minutes are over when a secret is told later.
        received = datetime.fromisoformat(arrival["receivedAt"]).timestamp()
        authentic = signatures.is_signed_by(keys, arrival["headers"], arrival["body"].encode(), received)
        return "verified" if authentic else "forged"

    def _forget(self, name: str) -> Reply:
        self._drop(name)
        self._journal.append([{"forget": name}])
        self.revision += 1
        return Reply(204)

    def _drop(self, name: str) -> None:
        self._arrivals = deque(arrival for arrival in self._arrivals if arrival["name"] != name)
        self._kept_bytes = sum(len(arrival["body"]) for arrival in self._arrivals)

    def _set_secret(self, name: str, body: bytes) -> Reply:
        try:
            secret = orjson.loads(body)["secret"]
            self._know_secret(name, secret)
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            return problem(400, 'the body is {"secret": "whsec_…"}')
        except signatures.SigningKeyError as error:
            return problem(400, str(error))
        self._journal.append([{"secret": secret, "name": name}])
        for arrival in self._arrivals:
            if arrival["name"] == name:
                arrival["signature"] = self._judge(arrival)
        self.revision += 1
        return Reply(204)

    def _know_secret(self, name: str, secret: str) -> None:
        keys = signatures.webhook_keys(secret)
        endpoint = self._endpoints.setdefault(name, _Endpoint())
        endpoint.secret, endpoint.keys = secret, keys

    def _behaviour(self, name: str, request: Request) -> Reply:
        endpoint = self._endpoints.setdefault(name, _Endpoint())
        if request.method == "PUT":
            try:
                endpoint.behaviour = read_behaviour(request.body)
            except BehaviourError as error:
                return problem(400, str(error))
        return json_reply(endpoint.behaviour.as_json())

    def _restore(self) -> None:
        for entry in self._journal.entries():
            if "arrival" in entry:
                arrival = entry["arrival"]
                self._endpoints.setdefault(arrival["name"], _Endpoint())
                self._keep(arrival)
                self._last_id = max(self._last_id, arrival["id"])
            elif "secret" in entry:
                self._know_secret(entry["name"], entry["secret"])
            else:
                self._drop(entry["forget"])
        self._compact()

    def _compact(self) -> None:
        secrets = [{"secret": one.secret, "name": name} for name, one in self._endpoints.items() if one.secret]
        self._journal.replace_with([*secrets, *({"arrival": arrival} for arrival in self._arrivals)])
