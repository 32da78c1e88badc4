"""Fault profiles: take a provider's name, give the outcome that replaces the ordinary one, if any.

A profile hits all calls of a provider ("*": of every provider) with a probability, at most `count` times. They live in
memory: a restart ends every fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from local_azure.provider_sandbox.outcomes import HANG_MS, SLOW_MS, Outcome, refused

PROVIDERS = (
    "sendgrid",
    "acs_email",
    "smtp",
    "twilio",
    "acs_sms",
    "notification_hubs",
    "fcm",
    "webhook",
    "slack",
    "twilio_whatsapp",
    "*",
)
_REFUSALS = {
    "400": "reject",
    "401": "unauthorized",
    "429": "throttled",
    "500": "temporary-failure",
    "502": "temporary-failure",
    "503": "unavailable",
}
_MODES: dict[str, Outcome] = {
    "hang": Outcome("hang", delay_ms=HANG_MS),
    "slow": Outcome("slow", delay_ms=SLOW_MS),
    "reset": Outcome("reset", accepted=False, steps=(), cuts_connection=True),
    "reset-after-accept": Outcome("reset-after-accept", cuts_connection=True),
    "malformed": Outcome("malformed", garbled=True),
    "drip": Outcome("drip", drips=True),
} | {status: refused(name, int(status)) for status, name in _REFUSALS.items()}


class FaultError(ValueError):
    """A profile that cannot be used; the message says why."""


@dataclass(slots=True)
class FaultProfile:
    """One active profile. `remaining` None: until it is deleted."""

    id: int
    provider: str
    mode: str
    probability: float
    remaining: int | None
    outcome: Outcome
    hits: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "provider": self.provider,
            "mode": self.mode,
            "probability": self.probability,
            "remaining": self.remaining,
            "hits": self.hits,
            "retry_after": self.outcome.retry_after_seconds,
            "delay_ms": self.outcome.delay_ms,
        }


class Faults:
    """The active profiles, oldest first; the first that hits decides."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._active: list[FaultProfile] = []
        self._last_id = 0

    def add(self, wanted: Any) -> FaultProfile:
        """The new profile. Raises: FaultError."""
        if not isinstance(wanted, dict):
            raise FaultError("a fault is a JSON object")
        self._last_id += 1
        profile = _profile(self._last_id, wanted)
        self._active.append(profile)
        return profile

    def listing(self) -> list[dict[str, Any]]:
        return [profile.as_json() for profile in self._active]

    def clear(self, *, provider: str | None = None, fault_id: int | None = None) -> int:
        """How many profiles were removed: one by id, all of a provider, or all."""
        kept = [
            profile
            for profile in self._active
            if (fault_id is not None and profile.id != fault_id)
            or (provider is not None and profile.provider != provider)
        ]
        removed = len(self._active) - len(kept)
        self._active = kept
        return removed

    def strike(self, provider: str) -> Outcome | None:
        """The outcome forced on this call, or None."""
        if not self._active:
            return None
        for profile in self._active:
            if profile.provider not in (provider, "*") or self._chance() >= profile.probability:
                continue
            profile.hits += 1
            if profile.remaining is not None:
                profile.remaining -= 1
                if profile.remaining == 0:
                    self._active.remove(profile)
            return profile.outcome
        return None


def _profile(fault_id: int, wanted: dict[str, Any]) -> FaultProfile:
    unknown = wanted.keys() - {"provider", "mode", "probability", "count", "retry_after", "delay_ms"}
    if unknown:
        raise FaultError(f"unknown field {min(unknown)!r}")
    provider, mode = wanted.get("provider"), str(wanted.get("mode"))
    if provider not in PROVIDERS:
        raise FaultError(f"provider must be one of {', '.join(PROVIDERS)}")
    if mode not in _MODES:
        raise FaultError(f"mode must be one of {', '.join(_MODES)}")
    probability = wanted.get("probability", 1.0)
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 < probability <= 1:
        raise FaultError("probability must be above 0 and at most 1")
    count = _whole_number(wanted, "count", least=1)
    return FaultProfile(fault_id, provider, mode, float(probability), count, _adjusted(_MODES[mode], wanted))


def _adjusted(outcome: Outcome, wanted: dict[str, Any]) -> Outcome:
    retry_after = _whole_number(wanted, "retry_after", least=0)
    delay_ms = _whole_number(wanted, "delay_ms", least=0)
    if retry_after is None and outcome.status == 429:
        retry_after = 30
    return replace(
        outcome,
        retry_after_seconds=outcome.retry_after_seconds if retry_after is None else retry_after,
        delay_ms=outcome.delay_ms if delay_ms is None else delay_ms,
    )


def _whole_number(wanted: dict[str, Any], name: str, *, least: int) -> int | None:
    value = wanted.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise FaultError(f"{name} must be a whole number of at least {least}")
    return value
