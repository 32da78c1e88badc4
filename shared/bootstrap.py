"""The composition root: the one place that knows which adapter stands behind which port.

Nothing is built or connected on import. ``services()`` builds the world of this process on first use and keeps it.
"""

import gc
import logging
import os
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache, partial

from shared.adapters.built_in_templates import BuiltInTemplates
from shared.adapters.cosmos_api_keys import CosmosApiKeys
from shared.adapters.cosmos_audit import CosmosAuditLog
from shared.adapters.cosmos_brakes import CosmosBrakes
from shared.adapters.cosmos_callback_endpoints import CosmosCallbackEndpointStore
from shared.adapters.cosmos_client import CosmosDatabase
from shared.adapters.cosmos_counts import CosmosCounts
from shared.adapters.cosmos_dead_letters import CosmosDeadLetters
from shared.adapters.cosmos_frequency import CosmosFrequency
from shared.adapters.cosmos_lane_board import CosmosLaneBoard
from shared.adapters.cosmos_limits import CosmosLeases
from shared.adapters.cosmos_notifications import CosmosNotificationStore
from shared.adapters.cosmos_owners import CosmosOwners
from shared.adapters.cosmos_preferences import CosmosPreferences
from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.adapters.cosmos_quarantines import CosmosQuarantines
from shared.adapters.cosmos_replay import CosmosReplays
from shared.adapters.cosmos_sms_records import CosmosSmsRecords
from shared.adapters.cosmos_tenant_policies import CosmosTenantPolicies
from shared.adapters.cosmos_timeline import CosmosTimeline
from shared.adapters.entra_tokens import EntraTokens
from shared.adapters.guarded_destinations import GuardedClient, check_url
from shared.adapters.http_client import AiohttpClient
from shared.adapters.jinja_renderer import JinjaRenderer
from shared.adapters.keyring import CosmosKeyring
from shared.adapters.local_key_file import LocalKeyFile
from shared.adapters.price_file import read_prices
from shared.adapters.secret_box import SecretBox
from shared.adapters.service_bus_publisher import ServiceBusPublisher
from shared.adapters.vault_key import VaultKey
from shared.domain.breaker import BreakerPolicy
from shared.domain.capabilities import capabilities_of
from shared.domain.prices import PriceBook
from shared.pipeline.brakes import Brakes
from shared.pipeline.call_limits import CallLimits
from shared.pipeline.consents import Consents
from shared.pipeline.frequency import Frequency
from shared.pipeline.known_keys import KnownKeys
from shared.pipeline.lanes import Lanes
from shared.pipeline.leased_caps import LeasedCaps
from shared.pipeline.provider_health import ProviderHealth
from shared.pipeline.quarantine import Quarantines
from shared.pipeline.releases import Releases
from shared.pipeline.send_checks import SendChecks
from shared.pipeline.services import Services
from shared.pipeline.sms_guard import SmsGuard
from shared.pipeline.sms_records import SmsRecords
from shared.pipeline.spending import Spending
from shared.pipeline.unsubscribe_links import UnsubscribeLinks
from shared.ports import Provider, ReceiptSource
from shared.providers import configured_providers
from shared.settings import Settings, breaker_policy, positive_number, read_settings

_OBJECTS_BEFORE_COLLECTION = 50_000

logger = logging.getLogger(__name__)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """This instant, in UTC."""
        return datetime.now(UTC)


@cache
def services() -> Services:
    """The services of this process. Raises ValueError when a setting is missing or malformed."""
    # The SDKs log every request at INFO, which costs as much as a tenth of the request itself.
    logging.getLogger("azure.core").setLevel(logging.WARNING)
    logging.getLogger("azure.cosmos").setLevel(logging.WARNING)
    logging.getLogger("azure.servicebus").setLevel(logging.WARNING)
    built = build_services(read_settings(os.environ))
    _spare_the_collector()
    return built


def _spare_the_collector() -> None:
    """Keeps the garbage collector off what lives as long as the process, and from running every few requests.

    Modules of the SDKs are half a million objects, and a batch of 1,000 notifications makes more than as many again;
    with the defaults each batch is followed by full collections that find nothing (measured: bench/README.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, 20, 50)


def build_services(settings: Settings) -> Services:
    """Services over the real adapters, as ``settings`` say."""
    clock = SystemClock()
    database = CosmosDatabase(settings.cosmos)
    keyring = _keyring(database, settings)
    preferences = CosmosPreferences(database, keyring)
    guarded = GuardedClient(allow_http=settings.allow_http_destinations)
    accounts = CosmosProviderHealth(database)
    by_channel: dict[str, list[Provider]] = defaultdict(list)
    providers = configured_providers(settings.raw, AiohttpClient(), guarded)
    for provider in providers:
        by_channel[provider.channel].append(provider)
    leases = CosmosLeases(database)
    api_keys = CosmosApiKeys(database)
    quarantine_store = CosmosQuarantines(database)
    prices = read_prices(settings.price_file)
    return Services(
        clock=clock,
        notifications=CosmosNotificationStore(database, clock, keyring),
        data_keys=keyring,
        callback_endpoints=CosmosCallbackEndpointStore(database, SecretBox(settings.callback_secrets_key)),
        timeline=CosmosTimeline(database),
        policies=CosmosTenantPolicies(database),
        owners=CosmosOwners(database),
        audit=CosmosAuditLog(database),
        preferences=preferences,
        consents=Consents(preferences),
        dead_letters=CosmosDeadLetters(database),
        replays=CosmosReplays(database),
        publisher=ServiceBusPublisher(settings.service_bus),
        templates=BuiltInTemplates(),
        renderer=JinjaRenderer(),
        tokens=EntraTokens(settings.identity),
        api_keys=api_keys,
        known_keys=KnownKeys(api_keys, clock),
        providers={channel: tuple(candidates) for channel, candidates in by_channel.items()},
        health=ProviderHealth(accounts, clock, _breaker_policies(providers, settings)),
        releases=Releases(accounts, _release_rates(providers, settings)),
        receipt_sources=_receipt_sources(providers),
        callback_client=guarded,
        check_destination=partial(check_url, allow_http=settings.allow_http_destinations),
        bucket_secret=settings.bucket_secret,
        reply_rules=settings.reply_rules,
        links=_links(settings),
        limits=CallLimits(leases, _call_limits(providers, settings)),
        checks=_send_checks(database, leases, prices, settings),
        prices=prices,
        gateway=settings.gateway,
        patience=settings.patience,
        quarantines=Quarantines(quarantine_store),
        quarantine_store=quarantine_store,
        brakes=Brakes(CosmosBrakes(database), settings.brakes),
        lanes=Lanes(
            CosmosLaneBoard(database), leases, settings.admission, database.meter, counts=CosmosCounts(database, leases)
        ),
    )


def _links(settings: Settings) -> UnsubscribeLinks:
    if settings.public_base_url is None:
        logger.warning("PUBLIC_BASE_URL is not set: marketing mail goes without a link to unsubscribe")
    return UnsubscribeLinks(settings.public_base_url, settings.bucket_secret)


def _keyring(database: CosmosDatabase, settings: Settings) -> CosmosKeyring:
    where = settings.data_keys
    return CosmosKeyring(database, LocalKeyFile(where.file) if where.file else VaultKey(where.vault_key or ""))


def _send_checks(database: CosmosDatabase, leases: CosmosLeases, prices: PriceBook, settings: Settings) -> SendChecks:
    caps, records = LeasedCaps(CosmosCounts(database, leases)), SmsRecords(CosmosSmsRecords(database))
    guard = SmsGuard(caps, records, leases, settings.sms_per_country_per_minute)
    frequency = Frequency(CosmosFrequency(database), settings.bucket_secret)
    return SendChecks(guard, Spending(caps, records), frequency, prices)


def _call_limits(providers: tuple[Provider, ...], settings: Settings) -> dict[str, float]:
    """Calls a second for each provider whose ``<NAME>_CALLS_PER_SECOND`` is set, from all processes together."""
    named = {provider.name: f"{provider.name.upper()}_CALLS_PER_SECOND" for provider in providers}
    return {name: positive_number(settings.raw, setting) for name, setting in named.items() if setting in settings.raw}


def _breaker_policies(providers: tuple[Provider, ...], settings: Settings) -> dict[str, BreakerPolicy]:
    """A policy for each provider whose calls all meet one far side, as its ``<NAME>_BREAKER_…`` settings say."""
    return {
        provider.name: breaker_policy(settings.raw, provider.name.upper())
        for provider in providers
        if capabilities_of(provider).one_far_side
    }


def _release_rates(providers: tuple[Provider, ...], settings: Settings) -> dict[str, float]:
    """Deliveries a second after an outage, where ``<NAME>_RELEASE_PER_SECOND`` or a limit of calls is set."""
    named = {provider.name: f"{provider.name.upper()}_RELEASE_PER_SECOND" for provider in providers}
    own = {name: positive_number(settings.raw, setting) for name, setting in named.items() if setting in settings.raw}
    return _call_limits(providers, settings) | own


def _receipt_sources(providers: tuple[Provider, ...]) -> dict[str, ReceiptSource]:
    return {provider.name: provider for provider in providers if isinstance(provider, ReceiptSource)}
