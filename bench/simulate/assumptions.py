"""Everything a run assumes, in one place. Each value has its reason; docs/cost-model.md explains them at length.

"documented": the vendor's page says so. "reported": a third party says so. "assumed": nobody said so; vary it.
"""

from dataclasses import dataclass, field

CHANNELS = ("email", "sms", "push", "webhook")
LANES = ("high", "normal", "low")
MESSAGING_UNITS = (1, 2, 4, 8, 16)  # what a Premium namespace can have (documented)
BYTES_PER_MU = 4e6  # a second, each way, without advanced features (documented)
RU_PER_PARTITION = 10_000  # a second (documented)
PARTITION_GB = 50.0  # a physical partition (documented)
TOPIC_GB = 80.0  # an entity in a Premium namespace (documented)
MAX_ATTEMPTS = {"email": 6, "sms": 5, "push": 4, "webhook": 6}  # shared/channels
_UNITS = ((3600, "h"), (60, "min"), (1, "s"))
DAYS_A_MONTH = 365 / 12
HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Load:
    """What is asked of the service."""

    daily: float = 50e6
    peak: float = 2000.0  # notifications a second in the busiest minutes
    sms_share: float = 0.21  # S4: 66/21/13; webhooks are taken from email
    push_share: float = 0.13
    webhook_share: float = 0.02  # assumed
    high_share: float = 0.10  # assumed
    low_share: float = 0.30  # assumed
    batch_share: float = 0.6  # assumed; of all notifications. High is always single
    items_per_chunk: float = 50.0  # measured: 0.02 messages a notification
    key_share: float = 0.5  # assumed: single requests that carry an Idempotency-Key
    burstiness: float = 20.0  # assumed: variance over mean of a second's arrivals (1 is Poisson)

    @property
    def channel_shares(self) -> dict[str, float]:
        email = 1 - self.sms_share - self.push_share - self.webhook_share
        shares = (email, self.sms_share, self.push_share, self.webhook_share)
        return dict(zip(CHANNELS, shares, strict=True))

    @property
    def lane_shares(self) -> dict[str, float]:
        return {"high": self.high_share, "normal": 1 - self.high_share - self.low_share, "low": self.low_share}

    @property
    def lane_batch_shares(self) -> dict[str, float]:
        bulk = min(1.0, self.batch_share / (1 - self.high_share))
        return {"high": 0.0, "normal": bulk, "low": bulk}


@dataclass(frozen=True)
class Spike:
    """Promotional traffic in the low lane on top of the day's, so that both together are ``rate``."""

    rate: float = 20_000.0
    seconds: float = 600.0
    batch_share: float = 0.95  # assumed: campaigns come in batches
    channel: str = ""  # all of it on one channel; empty: the usual mix

    @property
    def name(self) -> str:
        size, unit = next((size, unit) for size, unit in _UNITS if self.seconds >= size or size == 1)
        length = f"{self.seconds / size:g} {unit}"
        return f"{self.rate:,.0f}/s for {length}{f', all {self.channel}' if self.channel else ''}"


@dataclass(frozen=True)
class Providers:
    """Limits and behaviour of those who carry messages out."""

    # SendGrid: S4. Twilio: account-wide (documented, error 63017). Notification Hubs: no official rate, assumed.
    calls_per_second: dict[str, float] = field(
        default_factory=lambda: {"email": 10_000.0, "sms": 2000.0, "push": 1000.0, "webhook": 2000.0}
    )
    usable_share: float = 0.94  # of a limit, by our own timetable (shared/domain/leased_schedule.py)
    latency_seconds: float = 0.15  # assumed, mean
    transient_share: float = 0.02  # assumed: attempts that are to be repeated
    rejected_share: float = 0.005  # assumed: attempts that are final failures
    receipts: dict[str, float] = field(default_factory=lambda: {"email": 1.0, "sms": 1.0, "push": 0.0, "webhook": 0.0})
    receipt_delay_seconds: float = 5.0  # assumed
    callbacks_per_notification: float = 1.0  # assumed: half of the consumers' notifications, two statuses each
    callback_latency_seconds: float = 0.2  # assumed
    limit_sharing: str = "as-asked"  # as built: lanes get turns as they ask; "high-first" reserves


@dataclass(frozen=True)
class Platform:
    """What Azure gives, and how much of it. None: sized from the day's peak by sizing.py."""

    cosmos_ru_max: float | None = None
    messaging_units: int | None = None
    instances_max: int = 100  # for each function (Flex allows 1,000 an app)
    regional_instances: int = 250  # 512,000 MB over 2 GB (documented, preview era; a quota request raises it)
    cores_per_instance: float = 1.0  # 2,048 MB (unconfirmed)
    cpu_target: float = 0.8  # of a core that is used before waiting grows
    instance_gb: float = 2.0
    speed: float = 1.0  # of an Azure core against the measuring machine's (unknown)
    host_ms_per_invocation: float = 0.3  # assumed: the .NET host's own CPU, not measurable here
    http_concurrency: int = 16  # per instance; a setting
    outstanding_requests: int = 1000  # per instance, host.json; beyond it the host answers 429
    concurrent_calls: int = 64  # per instance and function, host.json
    deliveries_at_once: int = 200  # per process and channel, shared/pipeline/bulkhead.py
    always_ready: int = 2  # for HTTP and each high lane; the others have none
    cold_start_seconds: float = 6.0  # assumed
    http_scale_seconds: float = 1.0  # one more instance each second at most (documented)
    event_scale_seconds: float = 10.0  # assumed: between two decisions of the scale controller
    event_scale_step: int = 4  # at most so many more in one decision (documented for other plans)
    scale_in_seconds: float = 60.0  # assumed: calm before instances go
    bus_usable_share: float = 0.7  # assumed: filters on twelve subscriptions, duplicate detection, headroom
    bus_messages_per_mu: float = 4000.0  # a second, own arithmetic from 4 MB/s at 1 KB
    ru_skew: float = 0.1  # assumed: the busiest physical partition over the mean
    publish_patience_seconds: float = 60.0  # before the sweeper publishes what was not
    store_latency_seconds: float = 0.01  # a commit or patch
    stamps: int = 2  # geographies; fixed parts are paid in each


@dataclass(frozen=True)
class Scenario:
    """One run's assumptions."""

    name: str
    load: Load = Load()
    providers: Providers = field(default_factory=Providers)
    platform: Platform = Platform()
    spike: Spike | None = None
    admission: str = "none"  # as built: whatever fits; "lanes": low, then normal are refused as the store fills up
    sized_for_spike: bool = False  # what is not given is sized for the day's peak, or for the spike
    step_seconds: float = 5.0
    seed: int = 1
