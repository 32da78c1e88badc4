"""A consumer's callback endpoint: POST /callbacks/{name} stores what arrives, GET lists it, DELETE forgets it.

PUT …/secret makes the sandbox check signatures (Standard Webhooks); PUT …/behaviour makes the endpoint misbehave.
Arrivals and secrets survive a restart, behaviours do not. Bounded: the last 1,000 arrivals of each of 200 names,
1 MB each.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
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
KEPT_PER_NAME = 1_000
KEPT_NAMES = 200
_COMPACT_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class _Endpoint:
    arrivals: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_PER_NAME))
    behaviour: CallbackBehaviour = field(default_factory=CallbackBehaviour)
    secret: str = ""


class Callbacks:
    """All callback endpoints by name."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._journal = JsonLinesFile(folder / "callbacks.jsonl")
        self._clock = clock
        self._endpoints: dict[str, _Endpoint] = {}
        self._last_id = 0
        self.revision = 0
        self._restore()

    async def handle(self, request: Request) -> Reply | None:
        name, _, part = request.path.removeprefix(PREFIX).partition("/")
        if not name or len(name) > 200:
            return problem(404, "a callback endpoint is /callbacks/{name}")
        if part == "" and request.method == "POST":
            return await self._receive(name, request)
        if part == "" and request.method == "GET":
            return json_reply(self.arrivals(name))
        if part == "" and request.method == "DELETE":
            return self._forget(name)
        if part == "secret" and request.method == "PUT":
            return self._set_secret(name, request.body)
        if part == "behaviour" and request.method in ("GET", "PUT"):
            return self._behaviour(name, request)
        return problem(405, "POST, GET or DELETE /callbacks/{name}; PUT …/secret; PUT …/behaviour")

    def arrivals(self, name: str) -> list[dict[str, Any]]:
        """What arrived there, oldest first, with the signatures judged by the present secret."""
        endpoint = self._endpoints.get(name)
        return [] if endpoint is None else [self._judged(endpoint, arrival) for arrival in endpoint.arrivals]

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest arrivals of all names, newest first."""
        every = [(endpoint, arrival) for endpoint in self._endpoints.values() for arrival in endpoint.arrivals]
        every.sort(key=lambda pair: pair[1]["id"], reverse=True)
        return [self._judged(endpoint, arrival) for endpoint, arrival in every[:limit]]

    def total(self) -> int:
        return sum(len(endpoint.arrivals) for endpoint in self._endpoints.values())

    def close(self) -> None:
        self._journal.close()

    async def _receive(self, name: str, request: Request) -> Reply | None:
        if len(request.body) > MAX_BODY_BYTES:
            return problem(413, "a callback may have 1 MB")
        if name not in self._endpoints and len(self._endpoints) >= KEPT_NAMES:
            return problem(507, f"no more than {KEPT_NAMES} callback endpoints")
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
        endpoint.arrivals.append(arrival)
        self._journal.append([{"arrival": arrival}])
        self.revision += 1
        if self._journal.size_bytes > _COMPACT_BYTES:
            self._compact()
        return await misbehave(behaviour)

    def _judged(self, endpoint: _Endpoint, arrival: dict[str, Any]) -> dict[str, Any]:
        if not endpoint.secret:
            return arrival | {"signature": "unchecked"}
        # Judged as of its arrival: a signature's five minutes are long over when somebody looks at the page.
        received = _seconds(arrival["receivedAt"])
        keys = signatures.webhook_keys(endpoint.secret)
        authentic = signatures.is_signed_by(keys, arrival["headers"], arrival["body"].encode(), received)
        return arrival | {"signature": "verified" if authentic else "forged"}

    def _forget(self, name: str) -> Reply:
        endpoint = self._endpoints.get(name)
        if endpoint is not None:
            endpoint.arrivals.clear()
            self._journal.append([{"forget": name}])
            self.revision += 1
        return Reply(204)

    def _set_secret(self, name: str, body: bytes) -> Reply:
        try:
            secret = orjson.loads(body)["secret"]
            signatures.webhook_keys(secret)
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
            return problem(400, 'the body is {"secret": "whsec_…"}')
        except signatures.SigningKeyError as error:
            return problem(400, str(error))
        self._endpoints.setdefault(name, _Endpoint()).secret = secret
        self._journal.append([{"secret": secret, "name": name}])
        self.revision += 1
        return Reply(204)

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
                self._endpoints.setdefault(arrival["name"], _Endpoint()).arrivals.append(arrival)
                self._last_id = max(self._last_id, arrival["id"])
            elif "secret" in entry:
                self._endpoints.setdefault(entry["name"], _Endpoint()).secret = entry["secret"]
            elif entry.get("forget") in self._endpoints:
                self._endpoints[entry["forget"]].arrivals.clear()
        self._compact()

    def _compact(self) -> None:
        entries: list[dict[str, Any]] = []
        for name, endpoint in self._endpoints.items():
            if endpoint.secret:
                entries.append({"secret": endpoint.secret, "name": name})
            entries += [{"arrival": arrival} for arrival in endpoint.arrivals]
        self._journal.replace_with(entries)


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
