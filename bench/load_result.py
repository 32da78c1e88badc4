"""What a load generator saw: every request with its times, status and the tracking ids it was given."""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.load_plan import Plan

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Request:
    """One request; instants in monotonic seconds, which all processes of a machine share."""

    due: float
    ended: float
    status: int  # 0: no answer
    body: bytes

    @property
    def seconds(self) -> float:
        """From when it was due to its answer."""
        return self.ended - self.due

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300

    def tracking_ids(self) -> list[str]:
        """The ids of what was accepted with it."""
        if not self.is_accepted:
            return []
        answer = orjson.loads(self.body)
        if "items" in answer:
            return [each["trackingId"] for each in answer["items"] if "trackingId" in each]
        return [answer["trackingId"]]


@dataclass(frozen=True)
class Load:
    """One load: what each stream's requests came to, and what the generator cost."""

    started: float
    ended: float
    cpu_seconds: float
    streams: Mapping[str, Sequence[Request]]

    def to_json(self) -> bytes:
        streams = {
            name: [[each.due, each.ended, each.status, each.body.decode()] for each in requests]
            for name, requests in self.streams.items()
        }
        return orjson.dumps([self.started, self.ended, self.cpu_seconds, streams])

    @classmethod
    def from_json(cls, raw: bytes) -> "Load":
        started, ended, cpu_seconds, streams = orjson.loads(raw)
        return cls(
            started,
            ended,
            cpu_seconds,
            {name: [_request(*each) for each in requests] for name, requests in streams.items()},
        )

    def requests(self) -> list[Request]:
        """Of all streams."""
        return [request for requests in self.streams.values() for request in requests]

    def latencies(self, stream: str) -> list[float]:
        """Seconds of each accepted request of a stream."""
        return [request.seconds for request in self.streams[stream] if request.is_accepted]

    def submitted_at(self, stream: str) -> dict[str, float]:
        """When the request of each accepted notification was due, by tracking id."""
        return {each: request.due for request in self.streams[stream] for each in request.tracking_ids()}

    def refusals(self) -> dict[str, int]:
        """How often each other answer came, by status and the beginning of the text."""
        texts = (
            f"{each.status} {each.body[:80].decode(errors='replace')}"
            for each in self.requests()
            if not each.is_accepted
        )
        return dict(Counter(texts))


def _request(due: float, ended: float, status: int, body: str) -> Request:
    return Request(due, ended, status, body.encode())


def generate(plan: Plan) -> Load:
    """Carries out the plan in a process of its own. Raises CalledProcessError: it failed."""
    with tempfile.TemporaryDirectory(prefix="cns-load-") as folder:
        result = Path(folder) / "load.json"
        command = [sys.executable, "-m", "bench.load_generator", str(result)]
        subprocess.run(command, input=plan.to_json(), cwd=_ROOT, check=True)
        return Load.from_json(result.read_bytes())


def describe(load: Load) -> dict[str, Any]:
    """A summary for the report."""
    requests = load.requests()
    return {
        "requests": len(requests),
        "accepted_requests": sum(request.is_accepted for request in requests),
        "refused": load.refusals(),
        "seconds": round(load.ended - load.started, 3),
    }
