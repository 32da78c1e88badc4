"""An outside client: submits over HTTP to a running service whose providers are ours, and reconciles what came of it.

``python bench/outside.py --singles 1000 --batches 10 --kills 3`` starts the stand-in with its providers' base URLs
pointing at bench/fake_provider.py, submits, optionally kills parts of the stand-in meanwhile, waits until everything is
settled, and prints the ledger: accepted, settled, lost, called twice, in doubt, callbacks. Exit status 1 when anything
was lost, or called twice without being in doubt.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent
OFFSET = 2000
API = f"http://127.0.0.1:{7071 + OFFSET}/api/v1"
METRICS = f"http://127.0.0.1:{7072 + OFFSET}/metrics.json"
PROVIDER_PORT = 9100
PROVIDER = f"http://127.0.0.1:{PROVIDER_PORT}"
CHANNELS = ("email", "sms", "push", "webhook")
DATA = {"orderId": "A-1", "orderTotal": "€ 49.90"}
FINAL = {"sent", "delivered", "failed", "bounced", "expired"}


@dataclass
class Ledger:
    """What the client knows."""

    accepted: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


def item(number: int) -> dict[str, Any]:
    channel = CHANNELS[number % 4]
    recipient = {
        "email": {"email": f"user{number}@example.com"},
        "sms": {"phone": f"+49151{number:08d}"},
        "push": {"deviceTokens": [{"platform": "fcm", "token": f"device-{number}"}]},
        "webhook": {"webhookUrl": f"{PROVIDER}/webhooks/{number}"},
    }[channel]
    return {
        "recipient": {"customerId": f"c{number}"} | recipient,
        "channels": [channel],
        "template": {"id": "order-confirmation"},
        "data": DATA,
    }


async def submit(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any], ledger: Ledger, deadline: float
) -> None:
    """Submits once in effect: repeats with the same key while the service is away."""
    key = str(uuid.uuid4())
    while True:
        started = time.monotonic()
        try:
            async with session.post(url, json=body, headers={"Idempotency-Key": key}) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            status, text = 0, ""
        if status in {202, 200}:
            ledger.latencies.append(time.monotonic() - started)
            answer_json = json.loads(text)
            ids = (
                [answer_json["trackingId"]]
                if "trackingId" in answer_json
                else [each["trackingId"] for each in answer_json["items"]]
            )
            ledger.accepted.extend(ids)
            return
        if time.monotonic() > deadline or status not in {0, 409, 429, 500, 503}:
            ledger.refused[f"{status} {text[:120]}"] += 1
            return
        await asyncio.sleep(0.3 + random.random() * 0.5)


async def settled(session: aiohttp.ClientSession, ids: list[str], deadline: float) -> dict[str, dict[str, Any]]:
    """The final view of each notification, as far as there is one before the deadline."""
    views: dict[str, dict[str, Any]] = {}
    waiting = list(ids)
    gate = asyncio.Semaphore(16)

    async def look(tracking_id: str) -> None:
        async with gate:
            try:
                async with session.get(f"{API}/notifications/{tracking_id}") as answer:
                    if answer.status == 200:
                        views[tracking_id] = await answer.json()
            except (aiohttp.ClientError, TimeoutError, OSError):
                return

    while waiting and time.monotonic() < deadline:
        await asyncio.gather(*map(look, waiting))
        waiting = [each for each in waiting if views.get(each, {}).get("status") not in FINAL]
        if waiting:
            await asyncio.sleep(2)
    return views


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_json(data: Path) -> dict[str, Any]:
    return dict(json.loads((data / "run.json").read_text()))


async def killer(data: Path, kills: int, seconds: float) -> list[str]:
    """Kills each of the three parts ``kills`` times, spread over ``seconds``."""
    plan = [part for part in ("functions_host", "servicebus", "cosmos") for _ in range(kills)]
    random.shuffle(plan)
    done = []
    for part in plan:
        await asyncio.sleep(seconds / len(plan))
        pid = run_json(data)["parts"][part]["pid"]
        if pid:
            os.kill(pid, signal.SIGKILL)
            done.append(part)
    return done


def verify(secret: str, callback: list[str]) -> bool:
    webhook_id, timestamp, signature, body = callback
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, f"{webhook_id}.{timestamp}.{body}".encode(), hashlib.sha256)).decode()
    return f"v1,{expected}" in signature.split()


async def campaign(options: argparse.Namespace, data: Path, token: str) -> int:
    name, _, value = token.partition(": ")
    timeout = aiohttp.ClientTimeout(total=60)
    ledger = Ledger()
    async with aiohttp.ClientSession(headers={name: value}, timeout=timeout) as session:
        endpoint = {"url": f"{PROVIDER}/callbacks/bench", "statuses": ["SENT", "DELIVERED", "FAILED"]}
        secret = ""
        if not options.no_callbacks:
            async with session.post(f"{API}/callback-endpoints", json=endpoint) as answer:
                secret = (await answer.json())["secret"]
        await submit(session, f"{API}/notifications", item(0), ledger, time.monotonic() + 30)
        await settled(session, ledger.accepted, time.monotonic() + 30)
        workers = (await (await session.get(METRICS)).json())["workers"]
        cpu_before = sum(cpu_seconds(worker["pid"]) for worker in workers)
        started = time.monotonic()
        deadline = started + options.patience
        kill = asyncio.create_task(killer(data, options.kills, options.kill_seconds)) if options.kills else None
        gate = asyncio.Semaphore(options.concurrency)

        async def one(url: str, body: dict[str, Any]) -> None:
            async with gate:
                await submit(session, url, body, ledger, deadline)

        numbers = iter(range(1, 10**9))
        jobs = [one(f"{API}/notifications", item(next(numbers))) for _ in range(options.singles)]
        jobs += [
            one(f"{API}/notifications/batch", {"notifications": [item(next(numbers)) for _ in range(1000)]})
            for _ in range(options.batches)
        ]
        await asyncio.gather(*jobs)
        accepted_in = time.monotonic() - started
        if kill:
            print("killed:", " ".join(await kill))
        called = 0
        while time.monotonic() < deadline:
            async with session.get(f"{PROVIDER}/state") as answer:
                called = len({each.rsplit(".", 1)[0] for each in (await answer.json())["calls"]})
            if called >= len(ledger.accepted):
                break
            await asyncio.sleep(0.5)
        delivered_in = time.monotonic() - started
        if not options.kills:
            await asyncio.sleep(options.quiet)
            cpu = sum(cpu_seconds(worker["pid"]) for worker in workers) - cpu_before
            print(f"app CPU: {cpu:.2f} s for {len(ledger.accepted)} = {cpu / len(ledger.accepted) * 1000:.2f} ms each")
        views = await settled(session, ledger.accepted, deadline)
        async with session.get(f"{PROVIDER}/state") as answer:
            state = await answer.json()
    return report(ledger, views, state, secret, accepted_in, delivered_in)


def report(
    ledger: Ledger,
    views: dict[str, dict[str, Any]],
    state: dict[str, Any],
    secret: str,
    accepted_in: float,
    delivered_in: float,
) -> int:
    in_doubt = {each for each, view in views.items() if any(d.get("inDoubt") for d in view["deliveries"])}
    per_notification = (
        Counter(attempt.split(".")[-3] for attempt in state["calls"].elements())
        if hasattr(state["calls"], "elements")
        else Counter()
    )
    for attempt, count in state["calls"].items():
        per_notification[attempt.split(".")[-3]] += count
    lost = [
        each for each in ledger.accepted if views.get(each, {}).get("status") not in FINAL or not per_notification[each]
    ]
    twice_attempt = [attempt for attempt, count in state["calls"].items() if count > 1]
    twice = [each for each, count in per_notification.items() if count > 1]
    statuses = Counter(view["status"] for view in views.values())
    webhook_ids = Counter(callback[0] for callback in state["callbacks"])
    wanted = (
        {
            f"{each}.{entry['channel']}.{entry['status'].upper()}"
            for each, view in views.items()
            for entry in view.get("history", [])
            if entry["status"].upper() in {"SENT", "DELIVERED", "FAILED"}
        }
        if secret
        else set()
    )
    latencies = sorted(ledger.latencies)
    print(
        f"accepted {len(ledger.accepted)} (distinct {len(set(ledger.accepted))}) in {accepted_in:.1f} s;"
        f" refused {dict(ledger.refused)}"
    )
    if latencies:
        print(
            f"accept latency p50 {latencies[len(latencies) // 2] * 1000:.0f} ms,"
            f" p95 {latencies[int(len(latencies) * 0.95)] * 1000:.0f} ms"
        )
    print(f"provider reached for all in {delivered_in:.1f} s = {len(ledger.accepted) / delivered_in:.0f}/s")
    print(f"statuses {dict(statuses)}; in doubt {len(in_doubt)}")
    print(
        f"lost {len(lost)} {lost[:3]}; attempt ids called twice {len(twice_attempt)} {twice_attempt[:3]};"
        f" notifications called twice {len(twice)}, of them not in doubt {len(set(twice) - in_doubt)}"
    )
    print(
        f"callbacks: wanted {len(wanted)}, missing {len(wanted - set(webhook_ids))},"
        f" more than once {sum(count > 1 for count in webhook_ids.values())},"
        f" bad signatures {sum(not verify(secret, callback) for callback in state['callbacks'])}"
    )
    return 1 if lost or twice_attempt or set(twice) - in_doubt or wanted - set(webhook_ids) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--singles", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--kills", type=int, default=0, help="of each of host, broker and store")
    parser.add_argument("--kill-seconds", type=float, default=60)
    parser.add_argument("--concurrency", type=int, default=20)
    parser.add_argument("--patience", type=float, default=300)
    parser.add_argument("--quiet", type=float, default=2, help="seconds to let callbacks finish before CPU is read")
    parser.add_argument("--no-callbacks", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--data", type=Path, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    random.seed(seed)
    print(f"seed {seed}")
    data = options.data or Path(f"/tmp/cns-outside-{os.getpid()}")
    environment = os.environ | {
        name: PROVIDER for name in ("SENDGRID_BASE_URL", "TWILIO_BASE_URL", "NOTIFICATION_HUBS_BASE_URL")
    }
    provider = subprocess.Popen([sys.executable, "bench/fake_provider.py", "--port", str(PROVIDER_PORT)], cwd=ROOT)
    log = (ROOT / ".local" / "outside.log") if (ROOT / ".local").exists() else Path("/tmp/outside.log")
    with log.open("w") as output:
        stack = subprocess.Popen(
            [sys.executable, "-m", "local_azure.up", "--data", str(data), "--port-offset", str(OFFSET)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while "everything is up" not in log.read_text():
                if stack.poll() is not None:
                    sys.exit(f"the stand-in did not start; see {log}")
                time.sleep(0.2)
            token = subprocess.check_output(
                [
                    sys.executable,
                    "-m",
                    "local_azure.entra",
                    "token",
                    "--data",
                    str(data / "entra"),
                    "--port",
                    str(7073 + OFFSET),
                ],
                cwd=ROOT,
                text=True,
            ).strip()
            code = asyncio.run(campaign(options, data, token))
        finally:
            for process in (stack, provider):
                process.send_signal(signal.SIGTERM)
                process.wait(20)
    sys.exit(code)


if __name__ == "__main__":
    main()
