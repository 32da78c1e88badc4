"""Plays one scenario on ground of its own, waits until all is at rest, and reckons."""

import asyncio
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from bench.faults.consumer import Consumer, unsettled
from bench.faults.ledger import Evidence, Line, View, missing_callbacks, reckon
from bench.faults.provider import OutsideProvider
from bench.faults.scenario import Ground, Scenario, Size
from bench.faults.service import ROOT, Service, ServiceFailed, ServiceOptions, running_service

_LOG = logging.getLogger(__name__)
_REST_SECONDS = 600.0
# Only where providers answer at once: a claim must outlive its call.
_QUICK_SETTINGS = {"CLAIM_PATIENCE_SECONDS": "10"}
CAPTURE = "capture"


@dataclass(frozen=True)
class Terms:
    """How a scenario is played."""

    seed: int
    size: Size = Size.DEFAULT
    app: Path = ROOT
    stall_seconds: float = 60.0
    keep_data: bool = False


@dataclass(frozen=True)
class Played:
    """What came of it."""

    name: str
    proves: str
    seed: int
    seconds: float
    line: Line
    findings: list[str]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not self.findings


async def play(scenario: Scenario, terms: Terms) -> Played:
    """The outcome of one scenario; a service that does not even start is one, too."""
    started = time.monotonic()
    data = Path(tempfile.mkdtemp(prefix=f"cns-faults-{scenario.name}-"))
    try:
        return await _play(scenario, terms, data)
    except ServiceFailed as error:
        seconds = round(time.monotonic() - started, 1)
        return Played(scenario.name, scenario.proves, terms.seed, seconds, Line(0, 0, 0), [f"never began: {error}"])
    finally:
        if not terms.keep_data:
            shutil.rmtree(data, ignore_errors=True)


async def _play(scenario: Scenario, terms: Terms, data: Path) -> Played:
    started = time.monotonic()
    provider, random = OutsideProvider(), Random(f"{terms.seed} {scenario.name}")
    async with provider.serving(), running_service(_options(scenario, terms, data, provider)) as service:
        timeout = aiohttp.ClientTimeout(total=45)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            consumer = Consumer(session, service.api, service.authorization, random)
            ground = Ground(service, provider, consumer, random, terms.size, terms.stall_seconds)
            evidence = await _live_through(scenario, ground, terms)
    line = reckon(evidence)
    broken = [each for each in line.broken() if not any(kind in each for kind in ground.tolerated)]
    refused = (
        [f"{len(consumer.refused)} submissions refused, such as {consumer.refused[0]}"] if consumer.refused else []
    )
    ground.facts |= {"answers": dict(consumer.answers), "deaths": _counted(service.deaths)}
    seconds = round(time.monotonic() - started, 1)
    findings = [*broken, *refused, *ground.findings]
    return Played(scenario.name, scenario.proves, terms.seed, seconds, line, findings, ground.facts)


def _options(scenario: Scenario, terms: Terms, data: Path, provider: OutsideProvider) -> ServiceOptions:
    topology = _with_capture(data) if scenario.captures else None
    settings = (_QUICK_SETTINGS if terms.size is Size.QUICK else {}) | dict(scenario.settings)
    return ServiceOptions(data / "local", provider.url, scenario.workers, terms.app, topology, settings=settings)


def _with_capture(data: Path) -> Path:
    """The project's topology with one more subscription, which gets everything that is submitted."""
    topology = json.loads((ROOT / "local_azure/topology/servicebus.json").read_text())
    topics = topology["UserConfig"]["Namespaces"][0]["Topics"]
    [submitted] = [topic for topic in topics if topic["Name"] == "notifications-submitted"]
    everything = {"FilterType": "Sql", "SqlFilter": {"SqlExpression": "1=1"}}
    submitted["Subscriptions"].append(
        {
            "Name": CAPTURE,
            "Properties": {**submitted["Subscriptions"][0]["Properties"]},
            "Rules": [{"Name": "everything", "Properties": everything}],
        }
    )
    path = data / "servicebus.json"
    path.write_text(json.dumps(topology))
    return path


def _counted(deaths: list[str]) -> dict[str, int]:
    return {name: deaths.count(name) for name in sorted(set(deaths))}


async def _live_through(scenario: Scenario, ground: Ground, terms: Terms) -> Evidence:
    try:
        await scenario.play(ground)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are still to be played
        _LOG.exception("%s failed", scenario.name)
        ground.findings.append(f"the scenario itself failed: {type(error).__name__} {error}")
    ground.provider.heal()
    views, at_rest = await _come_to_rest(ground, terms.stall_seconds)
    evidence = Evidence(
        accepted=set(ground.consumer.accepted),
        views=views,
        calls=ground.provider.calls,
        posts=ground.provider.posts,
        listeners=ground.listeners,
        at_rest=at_rest,
    )
    await ground.until(lambda: not missing_callbacks(evidence), min(30.0, terms.stall_seconds))
    return evidence


async def _come_to_rest(ground: Ground, stall_seconds: float) -> tuple[Mapping[str, View], bool]:
    """Everyone's status, once all are final or nothing has moved for so long; and whether it is at rest."""
    consumer, views = ground.consumer, dict[str, View]()
    deadline, moved_at, before = time.monotonic() + _REST_SECONDS, time.monotonic(), ""
    while True:
        waiting = unsettled(consumer.accepted, views)
        views |= await consumer.views(waiting)
        waiting = unsettled(waiting, views)
        if not waiting:
            break
        now = f"{len(ground.provider.calls)} {sorted((each, _progress(views.get(each))) for each in waiting)}"
        if now != before:
            before, moved_at = now, time.monotonic()
        if time.monotonic() - moved_at > stall_seconds:
            return views, True
        if time.monotonic() > deadline:
            return views, False
        await asyncio.sleep(1.0)
    # A late outcome may still lengthen a history after its first final status; read all once more, when it is quiet.
    await _wait_for_quiet(ground.service)
    return views | await consumer.views(consumer.accepted), True


def _progress(view: View | None) -> int:
    if view is None:
        return -1
    return len(view.get("history", ())) + sum(len(each.get("attempts", ())) for each in view["deliveries"])


async def _wait_for_quiet(service: Service, seconds: float = 20.0) -> None:
    deadline, quiet = time.monotonic() + seconds, 0
    while quiet < 3 and time.monotonic() < deadline:
        entities = await service.entities()
        busy = sum(each.get("active", 0) + each.get("locked", 0) for each in entities if not _is_capture(each["name"]))
        quiet = quiet + 1 if entities and not busy else 0
        await asyncio.sleep(0.2)


def _is_capture(name: str) -> bool:
    return name.endswith(f"/{CAPTURE}")
