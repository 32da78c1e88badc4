"""How a callback endpoint misbehaves: takes the behaviour asked for, gives the answer (or none).

`{"mode": "status", "status": 500, "count": 2}` answers 500 twice; other modes: `hang` (delay_ms), `gone` (410),
`redirect` (302, location), `reset` (connection cut), `drip` (one byte a second), `large` (10 MB answer), `ok`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from local_azure.provider_sandbox.http_exchange import Reply, json_reply, problem

_STATUS_OF_MODE = {"ok": 200, "gone": 410, "redirect": 302, "hang": 200, "drip": 200, "large": 200, "reset": 0}
_DRIP_SECONDS = 120
_LARGE_BYTES = 10 * 1024 * 1024
_HANG_MS = 60_000


class BehaviourError(ValueError):
    """A behaviour that cannot be played; the message says why."""


@dataclass(slots=True)
class CallbackBehaviour:
    """`remaining` None: until changed."""

    mode: str = "ok"
    status: int = 200
    remaining: int | None = None
    delay_ms: int = 0
    location: str = ""

    def take(self) -> CallbackBehaviour:
        """What the next call meets; a counted behaviour wears off."""
        if self.remaining == 0:
            return CallbackBehaviour()
        if self.remaining is not None:
            self.remaining -= 1
        return self

    @property
    def described(self) -> str:
        return str(self.status) if self.mode in ("ok", "status") else self.mode

    def as_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "status": self.status,
            "count": self.remaining,
            "delay_ms": self.delay_ms,
            "location": self.location,
        }


def read_behaviour(body: bytes) -> CallbackBehaviour:
    """The behaviour the JSON body asks for. Raises: BehaviourError."""
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BehaviourError("a behaviour is a JSON object") from error
    if not isinstance(wanted, dict):
        raise BehaviourError("a behaviour is a JSON object")
    unknown = wanted.keys() - {"mode", "status", "count", "delay_ms", "location"}
    if unknown:
        raise BehaviourError(f"unknown field {min(unknown)!r}")
    mode = wanted.get("mode", "status" if "status" in wanted else "ok")
    if mode != "status" and mode not in _STATUS_OF_MODE:
        raise BehaviourError(f"mode must be status or one of {', '.join(_STATUS_OF_MODE)}")
    status = _number(wanted, "status", 100, 599) if mode == "status" else _STATUS_OF_MODE[mode]
    if status is None:
        raise BehaviourError("the mode status needs a status")
    location = wanted.get("location", "http://127.0.0.1:7080/callbacks/elsewhere")
    if not isinstance(location, str) or not location.isascii() or not location.isprintable():
        raise BehaviourError("location must be an address")
    delay_ms = _number(wanted, "delay_ms", 0, 600_000)
    return CallbackBehaviour(
        mode=mode,
        status=status,
        remaining=_number(wanted, "count", 1, 1_000_000),
        delay_ms=delay_ms if delay_ms is not None else _HANG_MS if mode == "hang" else 0,
        location=location,
    )


async def misbehave(behaviour: CallbackBehaviour) -> Reply | None:
    """The answer, after the delay; None cuts the connection."""
    if behaviour.delay_ms:
        await asyncio.sleep(behaviour.delay_ms / 1000)
    if behaviour.mode == "reset":
        return None
    if behaviour.mode == "drip":
        return Reply(200, content_type="text/plain", stream=_drip())
    if behaviour.mode == "large":
        return Reply(200, b"x" * _LARGE_BYTES, "text/plain")
    if behaviour.mode == "redirect":
        return Reply(302, headers=[("Location", behaviour.location)])
    return json_reply({"received": True}) if behaviour.status < 300 else problem(behaviour.status, "as asked for")


async def _drip() -> AsyncIterator[bytes]:
    for _ in range(_DRIP_SECONDS):
        yield b"."
        await asyncio.sleep(1)


def _number(wanted: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = wanted.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BehaviourError(f"{name} must be a whole number from {least} to {most}")
    return value
