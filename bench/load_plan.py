"""What a load generator is told to do: streams of requests, each closed loop (so many at once) or open loop (a rate).

Plain data that travels to the generator's process as JSON. Pure: the bodies of notifications are made here, too.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import orjson

EMAIL = ("email",)
MIXED = ("email", "sms", "push", "webhook")


@dataclass(frozen=True)
class Stream:
    """Requests of one kind.

    ``rate`` (requests a second) makes it open loop; otherwise ``connections`` requests are under way at any time. It
    ends after ``count`` requests or ``seconds``, whichever comes first (0: no limit; one of them is needed).
    """

    name: str
    seconds: float = 0.0
    count: int = 0
    connections: int = 8
    rate: float = 0.0
    batch_items: int = 0  # 0: single notifications
    lane: str = "normal"
    channels: Sequence[str] = EMAIL
    with_key: bool = False
    wait_seconds: int = 0  # Prefer: wait=n
    send_at: str = ""  # ISO instant
    first_number: int = 0  # of its recipients; streams that run together need their own ranges


@dataclass(frozen=True)
class Plan:
    """All streams of one load, and where they go."""

    port: int
    headers: Mapping[str, str]
    streams: Sequence[Stream]
    provider_url: str
    seed: int
    host: str = "127.0.0.1"
    patience_seconds: float = 60.0  # for one answer

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes) -> "Plan":
        fields = orjson.loads(raw)
        return cls(
            **fields
            | {"streams": [Stream(**each | {"channels": tuple(each["channels"])}) for each in fields["streams"]]}
        )


def recipient(channel: str, number: int, provider_url: str) -> dict[str, Any]:
    """An address of its own for each number."""
    if channel == "email":
        return {"email": f"user{number}@example.com"}
    if channel == "sms":
        return {"phone": f"+49151{number % 10**8:08d}"}
    if channel == "push":
        return {"deviceTokens": [{"platform": "fcm", "token": f"device-{number}"}]}
    return {"webhookUrl": f"{provider_url}/webhooks/{number}"}


def notification(number: int, stream: Stream, provider_url: str) -> dict[str, Any]:
    """A request body of about 230 bytes, as a shop would send it: no two say the same."""
    channel = stream.channels[number % len(stream.channels)]
    body = {
        "recipient": {"customerId": f"c{number}", **recipient(channel, number, provider_url)},
        "channels": [channel],
        "template": {"id": "order-confirmation"},
        "data": {"orderId": f"A-{number}", "orderTotal": f"€ {number % 900}.{number % 100:02d}"},
        "priority": stream.lane,
    }
    return body | {"sendAt": stream.send_at} if stream.send_at else body


@dataclass
class RequestMaker:
    """The raw HTTP requests of one stream, one after the other."""

    plan: Plan
    stream: Stream
    _random: Random = field(init=False)
    _head: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.plan.seed} {self.stream.name} {self.stream.first_number}")
        path = "/api/v1/notifications" + ("/batch" if self.stream.batch_items else "")
        lines = [f"POST {path} HTTP/1.1", f"host: {self.plan.host}:{self.plan.port}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.plan.headers.items()]
        if self.stream.wait_seconds:
            lines.append(f"prefer: wait={self.stream.wait_seconds}")
        self._head = "\r\n".join(lines).encode()

    def __iter__(self) -> Iterator[bytes]:
        number = self.stream.first_number
        while True:
            yield self._raw(number)
            number += self.stream.batch_items or 1

    def _raw(self, number: int) -> bytes:
        body = self._body(number)
        key = b""
        if self.stream.with_key:
            key = f"\r\nidempotency-key: {uuid.UUID(int=self._random.getrandbits(128), version=4)}".encode()
        return b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (self._head, key, len(body), body)

    def _body(self, number: int) -> bytes:
        url = self.plan.provider_url
        if not self.stream.batch_items:
            return orjson.dumps(notification(number, self.stream, url))
        numbers = range(number, number + self.stream.batch_items)
        return orjson.dumps({"notifications": [notification(each, self.stream, url) for each in numbers]})
