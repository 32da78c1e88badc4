"""The far side of callbacks: endpoints in memory, and a client that answers as each URL was told to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.callback_endpoint import CallbackEndpoint, SigningSecret
from shared.domain.errors import InDoubt, NotFound, VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.notification import Notification
from shared.ports import HttpAnswer
from tests.fakes.clock import START
from tests.fakes.steps import Lost, StepsThrough

SECRET = "whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


class InMemoryEndpointStore:
    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, str], CallbackEndpoint] = {}
        self.writes = 0
        self.waited_for = 0

    async def list_now(self, tenant: TenantId) -> Sequence[CallbackEndpoint]:
        return [endpoint for (owner, _), endpoint in self.endpoints.items() if owner == tenant]

    async def read(self, tenant: TenantId, endpoint_id: str) -> CallbackEndpoint:
        if (tenant, endpoint_id) not in self.endpoints:
            raise NotFound(endpoint_id)
        return self.endpoints[tenant, endpoint_id]

    async def save(self, endpoint: CallbackEndpoint) -> None:
        self.writes += 1
        self.endpoints[endpoint.tenant_id, endpoint.id] = replace(endpoint, version=f'"{self.writes}"')

    async def replace(self, endpoint: CallbackEndpoint) -> CallbackEndpoint:
        stored = self.endpoints.get((endpoint.tenant_id, endpoint.id))
        if stored is None or stored.version != endpoint.version:
            raise VersionChanged(endpoint.id)
        await self.save(endpoint)
        return self.endpoints[endpoint.tenant_id, endpoint.id]

    async def seen_everywhere(self) -> None:
        self.waited_for += 1

    list_for, read_now, create = list_now, read, save

    async def delete(self, tenant: TenantId, endpoint_id: str) -> None:
        await self.read(tenant, endpoint_id)
        del self.endpoints[tenant, endpoint_id]


def an_endpoint(tenant: str, endpoint_id: str = "ep1", statuses: tuple[str, ...] = ("SENT", "DELIVERED")):
    return CallbackEndpoint(
        id=endpoint_id,
        tenant_id=TenantId(tenant),
        url=f"https://consumer.example/{endpoint_id}",
        statuses=statuses,
        secrets=(SigningSecret("sk0", SECRET, START),),
        created_at=START,
    )


@dataclass(frozen=True)
class Call:
    url: str
    headers: Mapping[str, str]
    body: bytes


class FakeCallbackClient:
    """Answers 204, or what ``answers`` says for a URL."""

    def __init__(self) -> None:
        self.steps = StepsThrough()
        self.calls: list[Call] = []
        self.answers: dict[str, int | HttpAnswer | Exception] = {}

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        try:
            async with self.steps.around("post to the consumer"):
                self.calls.append(Call(url, headers, body))
        except Lost as lost:
            raise InDoubt("timeout") from lost
        answer = self.answers.get(url, 204)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, HttpAnswer) else HttpAnswer(answer, {}, b"")


def marks_of(notification: Notification) -> dict[str, str]:
    """What stands on a notification about its callbacks: the state, and after a colon the reason."""
    return {
        key: mark.state.value if mark.reason is None else f"{mark.state.value}:{mark.reason}"
        for key, mark in notification.callbacks.items()
    }
