"""Builds that are broken on purpose: each plants one defect into a copy of the app, and one scenario must see it.

A campaign that finds nothing proves little unless it would have found something. The defects are those that services of
this kind really have. Each is an exact text in a named file; when the text is gone, planting fails loudly.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.faults.service import ROOT

_APP = ("functions", "shared")
_APP_FILES = ("function_app.py", "host.json")


class DefectOutdated(Exception):
    """The text a defect replaces is no longer in the app exactly once."""


@dataclass(frozen=True)
class Defect:
    """``old`` in ``file`` becomes ``new``; ``scenario`` must then find something that contains one of ``symptoms``."""

    name: str
    file: str
    old: str
    new: str
    scenario: str
    symptoms: Sequence[str]


DEFECTS = (
    Defect(
        "settle before send",
        "functions/deliver.py",
        "        await shadow.deliver_as_decided(event.to_chunk(), services())\n",
        "        doing = shadow.deliver_as_decided(event.to_chunk(), services())\n"
        '            __import__("asyncio").get_running_loop().create_task(doing)\n',
        "store-refuses",
        ("did not deliver again", "lost"),
    ),
    Defect(
        "dual write without a sweep",
        "functions/recover.py",
        "    await recover.sweep(services())\n",
        "    services()\n",
        "broker-away",
        ("lost",),
    ),
    Defect(
        "a new id for every request",
        "shared/pipeline/submit.py",
        "    key = _key_record(request, notification, answer) if request.idempotency_key else None\n",
        "    key = None\n",
        "client-crash",
        ("sent without having been accepted", "different notifications"),
    ),
    Defect(
        "claim without a condition",
        "shared/adapters/cosmos_patches.py",
        '        f"from c where c.deliveries.{channel}.status in ({_one_of(_CLAIMABLE)}) "\n'
        '        f"and c.deliveries.{channel}.attempt = {item.attempt - 1} and not is_defined(c.cancelledAt)",\n',
        '        "from c where true",\n',
        "triple-delivery",
        ("internal duplicates",),
    ),
    Defect(
        "the last receipt wins",
        "shared/adapters/cosmos_patches.py",
        '    condition = f"from c where c.deliveries.{record.channel}.status in '
        '({_one_of(overtaken_by(record.status))})"\n',
        '    condition = "from c where true"\n',
        "receipts",
        ("ended wrongly",),
    ),
    Defect(
        "retries under the same attempt id",
        "shared/adapters/cosmos_patches.py",
        "        id=AttemptRef(tenant, item.tracking_id, channel, item.attempt).attempt_id,",
        "        id=AttemptRef(tenant, item.tracking_id, channel, 1).attempt_id,",
        "throttle-storm",
        ("internal duplicates",),
    ),
    Defect(
        "each worker has the limit to itself",
        "shared/adapters/cosmos_limits.py",
        '    return f"clock-{shard}"\n',
        "    return f\"clock-{shard}-{__import__('os').getpid()}\"\n",
        "provider-limit",
        ("calls within a second",),
    ),
    Defect(
        "outcome recorded before the call",
        "shared/pipeline/deliver.py",
        "    pending = await _start(ways, routes, paces, services)\n",
        "    early = [\n"
        "        (one.notification, verdict.Verdict(verdict.DeliveryStatus.SENT, one.delivery.attempts[-1]))\n"
        "        for one in ways\n"
        "    ]\n"
        "    await record_outcomes(early, chunk, claim_id, services)\n"
        "    pending = await _start(ways, routes, paces, services)\n",
        "crash-in-call",
        ("lost",),
    ),
    Defect(
        "doubt is failed over",
        "shared/domain/verdict.py",
        "    if isinstance(error, InDoubt):\n",
        "    if isinstance(error, InDoubt) and len(situation.order) < 2:\n",
        "failover",
        ("in doubt were sent again", "internal duplicates"),
    ),
    Defect(
        "while one probes everybody calls",
        "shared/domain/breaker.py",
        "    if circuit.state is State.CLOSED:\n        return CLEAR\n",
        "    if circuit.state is not State.OPEN:\n        return CLEAR\n",
        "breaker",
        ("calls at once", "probes within"),
    ),
    Defect(
        "nothing is ever taken for ill",
        "shared/domain/breaker.py",
        "        return self._in_a_row >= self._needed_in_a_row() or self._rate_is_high()\n",
        "        return False\n",
        "outage",
        ("calls for", "spent"),
    ),
    Defect(
        "a replay in bursts",
        "shared/pipeline/replay_steps.py",
        "        await asyncio.sleep(started + number * interval - loop.time())\n",
        "        await asyncio.sleep(0 * (started + number * interval - loop.time()))\n",
        "replay",
        ("calls in a second",),
    ),
    Defect(
        "the next channel does not wait for doubt",
        "shared/domain/fallback.py",
        "    if any(delivery.status in _UNDER_WAY for delivery in earlier):\n",
        "    if False:\n",
        "in-turn",
        ("an SMS",),
    ),
    Defect(
        "urgent requests are shed like any other",
        "shared/pipeline/admission.py",
        "        for lane in wanted.lanes & _SHEDDABLE:\n            self._check_process(lane)\n",
        "        for lane in (Lane.LOW,):\n            self._check_process(lane)\n",
        "burst",
        ("high was answered",),
    ),
    Defect(
        "what nobody can read is tried again",
        "shared/pipeline/poison.py",
        "        await _bury(body, entity, problem, services)\n        return None\n",
        "        await _bury(body, entity, problem, services)\n        raise\n",
        "poison",
        ("poison was tried again",),
    ),
)


def plant(defect: Defect, folder: Path, source: Path = ROOT) -> Path:
    """A copy of the app in ``folder`` that has the defect. Raises DefectOutdated."""
    for name in _APP:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _APP_FILES:
        shutil.copy2(source / name, folder / name)
    target = folder / defect.file
    target.write_text(with_defect(target.read_text(), defect))
    return folder


def with_defect(text: str, defect: Defect) -> str:
    """The file's text with the defect in it. Raises DefectOutdated."""
    if text.count(defect.old) != 1:
        raise DefectOutdated(f"{defect.name}: {defect.file} has {text.count(defect.old)} times:\n{defect.old}")
    return text.replace(defect.old, defect.new)


def is_caught(defect: Defect, findings: Sequence[str]) -> bool:
    """Whether the scenario saw what the defect does."""
    return any(symptom in finding for finding in findings for symptom in defect.symptoms)
