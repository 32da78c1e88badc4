"""An HttpClient for tests of providers: remembers what was posted or asked and gives the answers it was told to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.domain.errors import CnsError
from shared.ports import HttpAnswer

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Posted:
    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: timedelta
    method: str = "POST"


class RecordingClient:
    def __init__(self, *answers: HttpAnswer | CnsError) -> None:
        self.answers = list(answers)
        self.posted: list[Posted] = []

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        return self._answer(Posted(url, headers, body, timeout))

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> HttpAnswer:
        return self._answer(Posted(url, headers, b"", timeout, "GET"))

    def _answer(self, posted: Posted) -> HttpAnswer:
        self.posted.append(posted)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, CnsError):
            raise answer
        return answer


def answer(status: int, body: bytes = b"", **headers: str) -> HttpAnswer:
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
