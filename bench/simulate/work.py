"""What an average notification of one channel and lane costs at each stage, and how fast one instance is with it."""

from dataclasses import dataclass

from bench.simulate.assumptions import Load, Platform, Providers
from bench.simulate.calibration import Costs

BATCH_ITEMS = 1000  # of one request
_PUBLISH_SECONDS = 0.01


def _mix(costs: dict[str, float], batch_share: float) -> float:
    return costs["single"] * (1 - batch_share) + costs["batch"] * batch_share


@dataclass(frozen=True, slots=True)
class Work:
    """Per notification of one channel and lane: milliseconds of CPU, request units, bytes, messages."""

    requests: float
    messages: float
    accept_cpu: float
    accept_ru: float
    deliver_cpu: float
    deliver_ru: float
    submitted_bytes: float
    status_bytes: float
    callback_cpu: float
    callback_bytes: float

    @property
    def total_ru(self) -> float:
        return self.accept_ru + self.deliver_ru


def work_of(costs: Costs, load: Load, platform: Platform, batch_share: float) -> Work:
    """The average, when ``batch_share`` of them came in batches."""
    messages = 1 - batch_share + batch_share / load.items_per_chunk
    requests = 1 - batch_share + batch_share / BATCH_ITEMS
    host = platform.host_ms_per_invocation
    keys = (1 - batch_share) * load.key_share * costs.key_ru
    return Work(
        requests=requests,
        messages=messages,
        accept_cpu=_mix(costs.accept_cpu, batch_share) / platform.speed + requests * host,
        accept_ru=_mix(costs.accept_ru, batch_share) + keys,
        deliver_cpu=_mix(costs.deliver_cpu, batch_share) / platform.speed + messages * host,
        deliver_ru=_mix(costs.deliver_ru, batch_share) + _mix(costs.feed_ru, batch_share) + costs.audit_ru,
        submitted_bytes=_mix(costs.submitted_bytes, batch_share),
        status_bytes=_mix(costs.status_bytes, batch_share),
        callback_cpu=_mix(costs.callback_cpu, batch_share) / platform.speed + messages * host,
        callback_bytes=_mix(costs.callback_bytes, batch_share),
    )


def delivery_seconds(providers: Providers, platform: Platform) -> float:
    """From claim to announcement."""
    return providers.latency_seconds + 2 * platform.store_latency_seconds + _PUBLISH_SECONDS


def accept_seconds(platform: Platform, cpu_ms: float) -> float:
    return platform.store_latency_seconds + _PUBLISH_SECONDS + cpu_ms / 1000


def deliveries_a_second(work: Work, providers: Providers, platform: Platform) -> float:
    """By one instance: its CPU, or what it may have under way over how long each takes."""
    by_cpu = platform.cores_per_instance * platform.cpu_target * 1000 / work.deliver_cpu
    under_way = min(platform.concurrent_calls / work.messages, platform.deliveries_at_once)
    return min(by_cpu, under_way / delivery_seconds(providers, platform))


def accepts_a_second(work: Work, platform: Platform) -> float:
    """Notifications by one HTTP instance."""
    by_cpu = platform.cores_per_instance * platform.cpu_target * 1000 / work.accept_cpu
    seconds = accept_seconds(platform, work.accept_cpu / work.requests)
    return min(by_cpu, platform.http_concurrency / seconds / work.requests)
