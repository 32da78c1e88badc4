"""One builder for everything a use case needs, and one for the requests it is given."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.adapters.built_in_templates import BuiltInTemplates
from shared.adapters.cosmos_api_keys import CosmosApiKeys
from shared.adapters.cosmos_audit import CosmosAuditLog
from shared.adapters.cosmos_counts import CosmosCounts
from shared.adapters.cosmos_dead_letters import CosmosDeadLetters
from shared.adapters.cosmos_frequency import CosmosFrequency
from shared.adapters.cosmos_limits import CosmosLeases
from shared.adapters.cosmos_notifications import CONTAINER, CosmosNotificationStore
from shared.adapters.cosmos_owners import CosmosOwners
from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.adapters.cosmos_replay import CosmosReplays
from shared.adapters.cosmos_sms_records import CosmosSmsRecords
from shared.adapters.cosmos_timeline import CosmosTimeline
from shared.adapters.jinja_renderer import JinjaRenderer
from shared.channels import CHANNELS
from shared.contracts.sealing import sealed_by
from shared.contracts.stored_documents import notification_of
from shared.domain.breaker import BreakerPolicy
from shared.domain.errors import DestinationRefused
from shared.domain.identifiers import TenantId, TrackingId
from shared.domain.notification import Delivery, Notification
from shared.domain.prices import PriceBook
from shared.domain.reply import ReplyRules
from shared.pipeline.call_limits import CallLimits
from shared.pipeline.consents import Consents
from shared.pipeline.frequency import Frequency
from shared.pipeline.known_keys import KnownKeys
from shared.pipeline.leased_caps import LeasedCaps
from shared.pipeline.provider_health import ProviderHealth
from shared.pipeline.releases import Releases
from shared.pipeline.send_checks import SendChecks
from shared.pipeline.services import Patience, Services
from shared.pipeline.sms_guard import SmsGuard
from shared.pipeline.sms_records import SmsRecords
from shared.pipeline.spending import Spending
from shared.pipeline.submit import SubmitRequest, Submitted, submit
from shared.pipeline.unsubscribe_links import UnsubscribeLinks
from shared.ports import Caller
from tests.fakes.callback_consumer import FakeCallbackClient, InMemoryEndpointStore
from tests.fakes.clock import FakeClock
from tests.fakes.fake_provider import FakeReceiptSource
from tests.fakes.fake_tokens import FakeTokens
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.keyring import FixedKeyring
from tests.fakes.orchestrations import FakeOrchestrations
from tests.fakes.preferences import InMemoryPreferences
from tests.fakes.recording_publisher import RecordingPublisher
from tests.fakes.steps import StepsThrough
from tests.fakes.tenant_policies import FakeTenantPolicies

TENANT = TenantId("shop")
CALLER = Caller(TENANT, "shop", frozenset({"Notifications.Send", "Notifications.Read"}))
ADDRESS = "ada@example.com"


def check_destination(url: str) -> None:
    """Stands in for the SSRF guard, which has tests of its own."""
    if not url.startswith("https://"):
        raise DestinationRefused("the URL must use https")


class NoWaiter:
    """Nobody can wait; remembers who wanted to."""

    def __init__(self, *, starts: bool = False, settles: bool = False) -> None:
        self.started: list[TrackingId] = []
        self._starts = starts
        self._settles = settles

    async def start(self, notification: Notification, wait: timedelta) -> bool:
        self.started.append(notification.tracking_id)
        return self._starts

    async def wait(self, tracking_id: TrackingId, wait: timedelta) -> bool:
        return self._settles


@dataclass
class World:
    """Services over fakes, with the fakes at hand."""

    clock: FakeClock = field(default_factory=FakeClock)
    database: InMemoryDatabase = field(default_factory=InMemoryDatabase)
    publisher: RecordingPublisher = field(default_factory=RecordingPublisher)
    endpoints: InMemoryEndpointStore = field(default_factory=InMemoryEndpointStore)
    policies: FakeTenantPolicies = field(default_factory=FakeTenantPolicies)
    keyring: FixedKeyring = field(default_factory=FixedKeyring)
    preferences: InMemoryPreferences = field(default_factory=InMemoryPreferences)
    callback_client: FakeCallbackClient = field(default_factory=FakeCallbackClient)
    orchestrations: FakeOrchestrations = field(default_factory=FakeOrchestrations)
    providers: dict[str, FakeReceiptSource] = field(
        default_factory=lambda: {name: FakeReceiptSource(name, f"fake-{name}") for name in CHANNELS}
    )
    further: dict[str, list[FakeReceiptSource]] = field(default_factory=dict)  # by channel, after the first provider
    patience: Patience = field(default_factory=Patience)
    breaker: BreakerPolicy | None = None  # without one, nobody is ever taken for ill
    calls_per_second: dict[str, float] = field(default_factory=dict)
    prices: PriceBook = field(default_factory=PriceBook)
    sms_per_country_per_minute: int | None = None
    releases_per_second: float = 100.0

    def __post_init__(self) -> None:
        self.steps = StepsThrough()
        self.database.store_time = self._time
        self.services = self.fresh_process()

    def fresh_process(self) -> Services:
        """Services as a new process would build them: the world stays, memory is lost."""
        accounts = CosmosProviderHealth(self.database)  # type: ignore[arg-type]
        api_keys = CosmosApiKeys(self.database)  # type: ignore[arg-type]
        leases = CosmosLeases(self.database, monotonic=self._time)  # type: ignore[arg-type]
        return Services(
            clock=self.clock,
            notifications=CosmosNotificationStore(self.database, self.clock, self.keyring),  # type: ignore[arg-type]
            data_keys=self.keyring,
            callback_endpoints=self.endpoints,
            timeline=CosmosTimeline(self.database),  # type: ignore[arg-type]
            policies=self.policies,
            owners=CosmosOwners(self.database),  # type: ignore[arg-type]
            audit=CosmosAuditLog(self.database),  # type: ignore[arg-type]
            preferences=self.preferences,
            consents=Consents(self.preferences),
            dead_letters=CosmosDeadLetters(self.database),  # type: ignore[arg-type]
            replays=CosmosReplays(self.database),  # type: ignore[arg-type]
            publisher=self.publisher,
            templates=BuiltInTemplates(),
            renderer=JinjaRenderer(),
            tokens=FakeTokens(),
            api_keys=api_keys,
            known_keys=KnownKeys(api_keys, self.clock, lambda: self.clock.now().timestamp()),
            providers={name: (provider, *self.further.get(name, ())) for name, provider in self.providers.items()},
            health=ProviderHealth(
                accounts, self.clock, {each.name: self.breaker for each in self.all_providers if self.breaker}
            ),
            releases=Releases(accounts, {each.name: self.releases_per_second for each in self.all_providers}),
            receipt_sources={provider.name: provider for provider in self.all_providers},
            callback_client=self.callback_client,
            check_destination=check_destination,
            limits=CallLimits(leases, self.calls_per_second),
            checks=self._checks(leases),
            prices=self.prices,
            bucket_secret=b"bucket secret",
            reply_rules=ReplyRules({"+1555": (TENANT,)}, "Write STOP to stop."),
            links=UnsubscribeLinks("https://notify.example", b"bucket secret"),
            patience=self.patience,
        )

    def _time(self) -> float:
        """Passes with the fake clock, and while somebody waits."""
        return self.clock.now().timestamp() + asyncio.get_running_loop().time()

    def _checks(self, leases: CosmosLeases) -> SendChecks:
        database: Any = self.database
        caps, records = LeasedCaps(CosmosCounts(database, leases)), SmsRecords(CosmosSmsRecords(database), self._time)
        guard = SmsGuard(caps, records, leases, self.sms_per_country_per_minute, self._time)
        frequency = Frequency(CosmosFrequency(database), b"bucket secret")
        return SendChecks(guard, Spending(caps, records), frequency, self.prices)

    def watch(self, steps: StepsThrough) -> None:
        """Every effect passes through ``steps`` from here on."""
        self.steps = self.database.steps = self.publisher.steps = self.callback_client.steps = steps
        for provider in self.all_providers:
            provider.steps = steps

    def restart(self) -> None:
        """The process died; another one takes over."""
        self.steps.revive()
        self.services = self.fresh_process()

    def with_(self, **changes: Any) -> Services:
        self.services = replace(self.services, **changes)
        return self.services

    @property
    def all_providers(self) -> list[FakeReceiptSource]:
        return [*self.providers.values(), *(provider for others in self.further.values() for provider in others)]

    @property
    def documents(self) -> dict[tuple[str, str], dict[str, Any]]:
        return self.database.container(CONTAINER).documents

    @property
    def notifications(self) -> list[Notification]:
        """Everything stored."""
        return [
            notification_of(document, self.keyring.known(TenantId(document["tenantId"]), sealed_by(document) or ""))
            for document in self.documents.values()
            if document["type"] == "notification"
        ]

    @property
    def email(self) -> FakeReceiptSource:
        return self.providers["email"]

    def delivery(self, channel: str = "email", index: int = 0) -> Delivery:
        return self.notifications[index].deliveries[channel]

    async def submit(self, request: SubmitRequest | None = None, **fields: Any) -> Submitted:
        return await submit(request or a_request(**fields), CALLER, self.services, NoWaiter())


def a_body(**changes: Any) -> dict[str, Any]:
    """A body that is accepted, changed at its top; a change to None removes the field."""
    body: dict[str, Any] = {
        "recipient": {"customerId": "cust-1", "email": ADDRESS},
        "channels": ["email"],
        "content": {"email": {"subject": "Your order", "text": "It is on its way."}},
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def a_request(key: str | None = None, *, wait: float | None = None, **changes: Any) -> SubmitRequest:
    return SubmitRequest(
        body=json.dumps(a_body(**changes)).encode(),
        idempotency_key=key,
        wait=timedelta(seconds=wait) if wait else None,
    )


def a_batch(items: list[Any], key: str | None = None) -> SubmitRequest:
    return SubmitRequest(body=json.dumps({"notifications": items}).encode(), idempotency_key=key)
