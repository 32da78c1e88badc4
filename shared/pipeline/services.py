"""Everything a use case may need, handed over by the composition root; all of it behind ports."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.gateway_proof import GatewayProof
from shared.domain.prices import PriceBook
from shared.domain.reply import ReplyRules
from shared.pipeline.api_key_store import ApiKeyStore
from shared.pipeline.audit_log import AuditLog
from shared.pipeline.brakes import Brakes
from shared.pipeline.call_limits import CallLimits
from shared.pipeline.callback_endpoint_store import CallbackEndpointStore
from shared.pipeline.consents import Consents
from shared.pipeline.data_key_store import DataKeyStore
from shared.pipeline.dead_letter_store import DeadLetterStore
from shared.pipeline.endpoint_watch import EndpointWatch
from shared.pipeline.joint_commits import JointCommits
from shared.pipeline.known_keys import KnownKeys
from shared.pipeline.lanes import Lanes
from shared.pipeline.owners import Owners
from shared.pipeline.preference_store import PreferenceStore
from shared.pipeline.provider_health import ProviderHealth
from shared.pipeline.quarantine import Quarantines
from shared.pipeline.quarantine_store import QuarantineStore
from shared.pipeline.recently import Recently
from shared.pipeline.recorded import Recorded
from shared.pipeline.releases import Releases
from shared.pipeline.replay_store import ReplayStore
from shared.pipeline.send_checks import SendChecks
from shared.pipeline.timeline_store import TimelineStore
from shared.pipeline.unsubscribe_links import UnsubscribeLinks
from shared.ports import (
    Clock,
    HttpClient,
    NotificationStore,
    Provider,
    Publisher,
    ReceiptSource,
    Renderer,
    TemplateCatalogue,
    TenantPolicies,
    TokenVerifier,
)

SUBMITTED = "notifications-submitted"
STATUS = "notifications-status"
CALLBACKS = "callbacks"
DEAD_LETTERS = "dead-letters"
UNDELIVERED = "undelivered"  # where the broker's own dead-letter queues forward to


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each stage may take before the sweeper looks after it.

    Attributes:
        publish: from accept until a queued delivery counts as never published.
        claim: from a claim until its holder counts as dead; longer than a provider call can take.
        in_doubt: how long a receipt may take to settle an attempt whose answer was lost.
        retry: from a planned retry until it counts as forgotten.
        store: how long a delivery waits for a store that is away before its message goes back to the broker.
        eager_publish: how long an accepted request waits for the broker before it is answered all the same.
    """

    publish: timedelta = timedelta(seconds=60)
    claim: timedelta = timedelta(seconds=45)
    in_doubt: timedelta = timedelta(seconds=60)
    retry: timedelta = timedelta(seconds=90)
    store: timedelta = timedelta(seconds=30)
    eager_publish: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Services:
    """The world of one process."""

    clock: Clock
    notifications: NotificationStore
    data_keys: DataKeyStore
    callback_endpoints: CallbackEndpointStore
    timeline: TimelineStore
    policies: TenantPolicies
    owners: Owners
    audit: AuditLog
    preferences: PreferenceStore
    consents: Consents
    dead_letters: DeadLetterStore
    replays: ReplayStore
    publisher: Publisher
    templates: TemplateCatalogue
    renderer: Renderer
    tokens: TokenVerifier
    api_keys: ApiKeyStore
    known_keys: KnownKeys
    providers: Mapping[str, tuple[Provider, ...]]
    health: ProviderHealth
    releases: Releases
    receipt_sources: Mapping[str, ReceiptSource]
    callback_client: HttpClient
    check_destination: Callable[[str], None]
    limits: CallLimits
    checks: SendChecks
    bucket_secret: bytes = field(repr=False)
    reply_rules: ReplyRules = field(default_factory=ReplyRules)
    links: UnsubscribeLinks = field(default_factory=UnsubscribeLinks)
    prices: PriceBook = field(default_factory=PriceBook)
    gateway: GatewayProof = field(default_factory=GatewayProof)
    patience: Patience = field(default_factory=Patience)
    lanes: Lanes = field(default_factory=Lanes)
    quarantines: Quarantines = field(default_factory=Quarantines)
    quarantine_store: QuarantineStore | None = None
    brakes: Brakes = field(default_factory=Brakes)
    joint_commits: JointCommits = field(default_factory=JointCommits)
    busy_endpoints: Counter[str] = field(default_factory=Counter)
    endpoint_watch: EndpointWatch = field(default_factory=EndpointWatch)
    recently_fired: Recently = field(default_factory=Recently)
    recorded: Recorded = field(default_factory=Recorded)
    recently_indexed: Recently = field(default_factory=Recently)
