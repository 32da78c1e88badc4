"""Every setting of the app, read once from the environment into one frozen object.

docs/settings.md explains each. Secrets have no defaults; providers read their own settings from ``raw`` (see
docs/providers.md), so that a new provider is one file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from pathlib import Path

from shared.adapters.cosmos_client import CosmosSettings
from shared.adapters.entra_tokens import EntraSettings
from shared.adapters.price_file import BUILT_IN
from shared.adapters.service_bus_publisher import ServiceBusSettings
from shared.domain.brakes import BrakeLimits
from shared.domain.breaker import BreakerPolicy
from shared.domain.gateway_proof import GatewayProof
from shared.domain.lane_pressure import LagLimits
from shared.domain.notification import Lane
from shared.domain.reply import ReplyRules, read_sender_tenants
from shared.pipeline.admission import Thresholds
from shared.pipeline.services import Patience
from shared.providers.provider_settings import base_url


@dataclass(frozen=True, slots=True)
class DataKeySettings:
    """Where the key is that data keys are wrapped with: a file, or a key in Key Vault by its URL; one of them."""

    file: Path | None = None
    vault_key: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What this process was told."""

    cosmos: CosmosSettings
    service_bus: ServiceBusSettings
    identity: EntraSettings
    allow_http_destinations: bool
    patience: Patience
    admission: Thresholds
    brakes: BrakeLimits
    price_file: Path
    sms_per_country_per_minute: int | None
    gateway: GatewayProof
    public_base_url: str | None
    data_keys: DataKeySettings
    reply_rules: ReplyRules
    bucket_secret: bytes = field(repr=False)
    callback_secrets_key: str = field(repr=False)
    raw: Mapping[str, str] = field(repr=False)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in ``environment``.

    Raises:
        ValueError: a required setting is missing or malformed; the message names it, never its value.
    """
    default = Patience()
    return Settings(
        cosmos=CosmosSettings(
            database=environment.get("COSMOS_DATABASE", "cns"),
            connection=environment.get("COSMOS_CONNECTION"),
            account_endpoint=environment.get("COSMOS_CONNECTION__accountEndpoint")
            or environment.get("COSMOS__accountEndpoint"),
        ),
        service_bus=ServiceBusSettings(
            connection=environment.get("SERVICEBUS_CONNECTION"),
            fully_qualified_namespace=environment.get("SERVICEBUS_CONNECTION__fullyQualifiedNamespace")
            or environment.get("SERVICEBUS__fullyQualifiedNamespace"),
        ),
        identity=EntraSettings(
            issuer=_required(environment, "IDENTITY_ISSUER"),
            audience=_required(environment, "IDENTITY_AUDIENCE"),
            jwks_uri=_required(environment, "IDENTITY_JWKS_URI"),
        ),
        allow_http_destinations=environment.get("ALLOW_HTTP_DESTINATIONS", "false").lower() == "true",
        patience=Patience(
            publish=_seconds(environment, "PUBLISH_PATIENCE_SECONDS", default.publish),
            claim=_seconds(environment, "CLAIM_PATIENCE_SECONDS", default.claim),
            in_doubt=_seconds(environment, "IN_DOUBT_PATIENCE_SECONDS", default.in_doubt),
        ),
        admission=_thresholds(environment),
        brakes=_brakes(environment),
        sms_per_country_per_minute=_count(environment, "SMS_PER_COUNTRY_PER_MINUTE", 0) or None,
        public_base_url=_public_base_url(environment),
        reply_rules=_reply_rules(environment),
        price_file=Path(environment.get("PRICE_FILE") or BUILT_IN),
        gateway=GatewayProof.of(environment.get("GATEWAY_PROOF", "")),
        data_keys=_data_keys(environment),
        bucket_secret=_required(environment, "BUCKET_SECRET").encode(),
        callback_secrets_key=_required(environment, "CALLBACK_SECRETS_KEY"),
        raw=environment,
    )


def _public_base_url(environment: Mapping[str, str]) -> str | None:
    value = environment.get("PUBLIC_BASE_URL", "").strip()
    return base_url("PUBLIC_BASE_URL", value) if value else None


def _data_keys(environment: Mapping[str, str]) -> DataKeySettings:
    provider = _required(environment, "DATA_KEYS_PROVIDER")
    if provider == "local":
        return DataKeySettings(file=Path(_required(environment, "DATA_KEYS_FILE")))
    if provider == "keyvault":
        return DataKeySettings(vault_key=_required(environment, "DATA_KEYS_VAULT_KEY"))
    raise ValueError("the setting DATA_KEYS_PROVIDER is neither local nor keyvault")


def _reply_rules(environment: Mapping[str, str]) -> ReplyRules:
    try:
        tenants = read_sender_tenants(environment.get("REPLY_TENANTS", ""))
    except ValueError as error:
        raise ValueError("the setting REPLY_TENANTS is not a list of number=tenant") from error
    return ReplyRules(tenants, environment.get("REPLY_HELP_TEXT", "").strip() or None)


def _thresholds(environment: Mapping[str, str]) -> Thresholds:
    default = Thresholds()
    return Thresholds(
        lags=LagLimits(
            high=_seconds(environment, "ADMISSION_HIGH_LAG_SECONDS", default.lags.high),
            normal=_seconds(environment, "ADMISSION_NORMAL_LAG_SECONDS", default.lags.normal),
            low=_seconds(environment, "ADMISSION_LOW_LAG_SECONDS", default.lags.low),
        ),
        in_flight={
            Lane.NORMAL: _count(environment, "ADMISSION_NORMAL_IN_FLIGHT", default.in_flight[Lane.NORMAL]),
            Lane.LOW: _count(environment, "ADMISSION_LOW_IN_FLIGHT", default.in_flight[Lane.LOW]),
        },
    )


def _brakes(environment: Mapping[str, str]) -> BrakeLimits:
    default = BrakeLimits()
    share = _number(environment, "BRAKES_FAILURE_SHARE", default.failure_share)
    if share > 1:
        raise ValueError("the setting BRAKES_FAILURE_SHARE is above 1")
    return BrakeLimits(
        failure_share=share,
        failure_deliveries=_count(environment, "BRAKES_FAILURE_DELIVERIES", default.failure_deliveries),
        spike_factor=_number(environment, "BRAKES_SPIKE_FACTOR", default.spike_factor),
        spike_deliveries=_count(environment, "BRAKES_SPIKE_DELIVERIES", default.spike_deliveries),
        newcomer_deliveries=_count(environment, "BRAKES_NEWCOMER_DELIVERIES", default.newcomer_deliveries),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ValueError(f"the setting {name} is missing")
    return value


def positive_number(environment: Mapping[str, str], name: str) -> float:
    """The setting as a number above 0. Raises ValueError, which names it."""
    try:
        number = float(environment[name])
    except ValueError as error:
        raise ValueError(f"the setting {name} is not a number") from error
    if not 0 < number < float("inf"):
        raise ValueError(f"the setting {name} is not above 0")
    return number


def breaker_policy(environment: Mapping[str, str], prefix: str) -> BreakerPolicy:
    """When a provider counts as ill, by its settings ``<prefix>_BREAKER_…``. Raises ValueError, which names one."""
    default = BreakerPolicy()

    def number(name: str, otherwise: float) -> float:
        setting = f"{prefix}_BREAKER_{name}"
        return positive_number(environment, setting) if setting in environment else otherwise

    rate = number("FAILURE_RATE", default.failure_rate)
    if rate > 1:
        raise ValueError(f"the setting {prefix}_BREAKER_FAILURE_RATE is above 1")
    return BreakerPolicy(
        failures_in_a_row=ceil(number("FAILURES", default.failures_in_a_row)),
        failure_rate=rate,
        open_seconds=number("OPEN_SECONDS", default.open_seconds),
    )


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    return positive_number(environment, name) if name in environment else default


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    number = positive_number(environment, name) if name in environment else default
    if number != int(number):
        raise ValueError(f"the setting {name} is not a whole number")
    return int(number)


def _seconds(environment: Mapping[str, str], name: str, default: timedelta) -> timedelta:
    if name not in environment:
        return default
    seconds = positive_number(environment, name)
    if not 0 < seconds <= timedelta(days=1).total_seconds():
        raise ValueError(f"the setting {name} is not between 0 and 86400 seconds")
    return timedelta(seconds=seconds)
