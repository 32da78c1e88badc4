from datetime import timedelta

import pytest

from shared.domain.breaker import BreakerPolicy
from shared.pipeline.services import Patience
from shared.settings import breaker_policy, read_settings

REQUIRED = {
    "IDENTITY_ISSUER": "https://login.example",
    "IDENTITY_AUDIENCE": "api://cns",
    "IDENTITY_JWKS_URI": "https://login.example/keys",
    "BUCKET_SECRET": "bucket-secret-value",
    "CALLBACK_SECRETS_KEY": "callback-key-value",
    "DATA_KEYS_PROVIDER": "local",
    "DATA_KEYS_FILE": "data_keys.json",
}


def test_the_required_settings_are_enough() -> None:
    settings = read_settings(REQUIRED)

    assert settings.patience == Patience()
    assert settings.allow_http_destinations is False
    assert settings.cosmos.database == "cns"
    assert settings.bucket_secret == b"bucket-secret-value"


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named(name: str, value: str | None) -> None:
    environment = REQUIRED | ({name: value} if value is not None else {})
    if value is None:
        del environment[name]

    with pytest.raises(ValueError, match=name):
        read_settings(environment)  # type: ignore[arg-type]


def test_data_keys_are_wrapped_in_key_vault_or_with_a_file_and_nothing_else() -> None:
    vault = {"DATA_KEYS_PROVIDER": "keyvault", "DATA_KEYS_VAULT_KEY": "https://v.example/keys/cns"}

    assert read_settings(REQUIRED | vault).data_keys.vault_key == "https://v.example/keys/cns"
    with pytest.raises(ValueError, match="DATA_KEYS_VAULT_KEY"):
        read_settings(REQUIRED | {"DATA_KEYS_PROVIDER": "keyvault"})
    with pytest.raises(ValueError, match="DATA_KEYS_PROVIDER"):
        read_settings(REQUIRED | {"DATA_KEYS_PROVIDER": "none"})


@pytest.mark.parametrize("text", ["soon", "0", "-1", "86401", "nan", "inf", ""])
def test_a_patience_that_makes_no_sense_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="CLAIM_PATIENCE_SECONDS"):
        read_settings(REQUIRED | {"CLAIM_PATIENCE_SECONDS": text})


def test_patience_is_read_in_seconds() -> None:
    settings = read_settings(REQUIRED | {"PUBLISH_PATIENCE_SECONDS": "0.5", "IN_DOUBT_PATIENCE_SECONDS": "90"})

    assert settings.patience.publish == timedelta(seconds=0.5)
    assert settings.patience.in_doubt == timedelta(seconds=90)


def test_each_provider_may_have_its_own_breaker() -> None:
    own = {
        "SENDGRID_BREAKER_FAILURES": "3",
        "SENDGRID_BREAKER_FAILURE_RATE": "0.2",
        "SENDGRID_BREAKER_OPEN_SECONDS": "5",
    }

    policy = breaker_policy(REQUIRED | own, "SENDGRID")

    assert (policy.failures_in_a_row, policy.failure_rate, policy.open_seconds) == (3, 0.2, 5.0)
    assert breaker_policy(REQUIRED | own, "TWILIO") == BreakerPolicy()


@pytest.mark.parametrize(
    ("name", "text"),
    [("FAILURES", "0"), ("FAILURES", "many"), ("FAILURE_RATE", "1.5"), ("OPEN_SECONDS", "-1"), ("OPEN_SECONDS", "inf")],
)
def test_a_breaker_that_makes_no_sense_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"SENDGRID_BREAKER_{name}"):
        breaker_policy({f"SENDGRID_BREAKER_{name}": text}, "SENDGRID")


@pytest.mark.parametrize(
    ("text", "allowed"), [("true", True), ("TRUE", True), ("false", False), ("1", False), ("", False)]
)
def test_plain_http_is_allowed_only_by_the_word_true(text: str, allowed: bool) -> None:
    assert read_settings(REQUIRED | {"ALLOW_HTTP_DESTINATIONS": text}).allow_http_destinations is allowed


def test_secrets_do_not_show() -> None:
    shown = repr(read_settings(REQUIRED))

    assert "bucket-secret-value" not in shown
    assert "callback-key-value" not in shown
