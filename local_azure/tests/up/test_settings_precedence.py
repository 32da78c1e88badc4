"""Which source of a setting wins, and who gets to see it."""

import json
from pathlib import Path

import pytest

from local_azure.up.ports import Ports
from local_azure.up.settings import BadLocalSettings, read_local_settings, resolve_settings

_KEYS = {
    "COSMOS_KEY": "cosmos-key",
    "SERVICEBUS_SAS_KEY": "bus-key",
    "SENDGRID_API_KEY": "SG.generated",
    "SENDGRID_RECEIPT_PRIVATE_KEY_FILE": "/keys/receipts.pem",
    "SENDGRID_RECEIPT_PUBLIC_KEY": "public",
    "ACS_ACCESS_KEY": "YWNzLWtleQ==",
    "ACS_EMAIL_RECEIPT_KEY": "email-receipts",
    "ACS_SMS_RECEIPT_KEY": "sms-receipts",
    "SMTP_PASSWORD": "smtp-password",
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "twilio-token",
    "NOTIFICATION_HUBS_CONNECTION": "Endpoint=sb://hub/;SharedAccessKeyName=n;SharedAccessKey=hub-key",
    "NOTIFICATION_HUBS_RECEIPT_SECRET": "whsec_hub",
    "WEBHOOK_SIGNING_SECRET": "whsec_webhook",
    "BUCKET_SECRET": "bucket",
    "CALLBACK_SECRETS_KEY": "callbacks",
}


def _resolve(local=None, environment=None, ports=None):
    return resolve_settings(
        keys=_KEYS,
        ports=ports or Ports(),
        tenant_id="tenant-1",
        local_settings=local or {},
        environment=environment or {},
    )


def test_defaults_point_at_the_stand_in_on_the_chosen_ports():
    app = _resolve(ports=Ports(cosmos=1081, servicebus=1672, sandbox=1080, entra=1073, api=1071)).for_app()

    assert app["COSMOS_CONNECTION"] == "AccountEndpoint=http://127.0.0.1:1081/;AccountKey=cosmos-key;"
    assert app["SERVICEBUS_CONNECTION"].startswith("Endpoint=sb://127.0.0.1:1672;")
    assert app["SENDGRID_BASE_URL"] == app["TWILIO_BASE_URL"] == "http://127.0.0.1:1080"
    assert app["IDENTITY_ISSUER"] == "http://127.0.0.1:1073/tenant-1/v2.0"
    assert app["IDENTITY_JWKS_URI"] == "http://127.0.0.1:1073/tenant-1/discovery/v2.0/keys"
    assert app["PUBLIC_BASE_URL"] == "http://127.0.0.1:1071"


def test_the_environment_beats_local_settings_which_beat_what_is_generated():
    local = {"SENDGRID_BASE_URL": "http://file", "TWILIO_BASE_URL": "http://file", "MY_OWN": "file"}
    environment = {"SENDGRID_BASE_URL": "http://environment", "MY_OWN": "environment"}

    settings = _resolve(local, environment)

    app = settings.for_app()
    assert app["SENDGRID_BASE_URL"] == "http://environment"
    assert app["TWILIO_BASE_URL"] == "http://file"
    assert app["NOTIFICATION_HUBS_BASE_URL"] == "http://127.0.0.1:7080"
    assert app["MY_OWN"] == "environment"
    assert settings.chosen == {
        "SENDGRID_BASE_URL": "the environment",
        "TWILIO_BASE_URL": "local.settings.json",
        "MY_OWN": "the environment",
    }


def test_a_chosen_key_reaches_both_the_emulator_and_the_connection_string():
    settings = _resolve(environment={"COSMOS_KEY": "chosen"})

    assert settings.for_part("cosmos")["COSMOS_KEY"] == "chosen"
    assert "AccountKey=chosen;" in settings.for_app()["COSMOS_CONNECTION"]


def test_each_part_sees_only_what_it_needs():
    settings = _resolve(environment={"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "someone's"})

    sandbox, app = settings.for_part("sandbox"), settings.for_app()

    assert set(settings.for_part("entra")) == {"PATH"}
    assert set(settings.for_part("cosmos")) == {"PATH", "COSMOS_KEY"}
    assert set(settings.for_part("servicebus")) == {"PATH", "SERVICEBUS_SAS_KEY"}
    assert not {"COSMOS_CONNECTION", "BUCKET_SECRET", "AWS_SECRET_ACCESS_KEY"} & set(sandbox)
    assert not {"COSMOS_KEY", "SERVICEBUS_SAS_KEY", "SENDGRID_RECEIPT_PRIVATE_KEY_FILE", "ACS_ACCESS_KEY"} & set(app)
    shared = {"ACS_EMAIL_CONNECTION", "ACS_EMAIL_RECEIPT_KEY", "ACS_SMS_CONNECTION", "SMTP_USERNAME", "SMTP_PASSWORD"}
    assert {name: sandbox[name] for name in shared} == {name: app[name] for name in shared}


def test_stand_by_providers_are_configured():
    app = _resolve(ports=Ports(sandbox=1080, smtp=1025)).for_app()

    assert app["ACS_EMAIL_CONNECTION"] == "endpoint=http://127.0.0.1:1080/;accesskey=YWNzLWtleQ=="
    assert (app["SMTP_HOST"], app["SMTP_PORT"], app["SMTP_TLS"]) == ("127.0.0.1", "1025", "none")


@pytest.mark.parametrize(
    ("first", "gone", "stays"),
    [
        ("SENDGRID_BASE_URL", ("ACS_EMAIL_", "SMTP_"), "ACS_SMS_CONNECTION"),
        ("TWILIO_BASE_URL", ("ACS_SMS_",), "ACS_EMAIL_CONNECTION"),
        ("NOTIFICATION_HUBS_BASE_URL", ("FCM_",), "ACS_SMS_CONNECTION"),
    ],
)
def test_nothing_of_the_sandbox_stands_by_for_a_provider_elsewhere(first, gone, stays):
    settings = _resolve(environment={first: "https://provider.example"})

    for names in (settings.for_app(), settings.for_part("sandbox")):
        assert not [name for name in names if name.startswith(gone)]
        assert stays in names


def test_a_stand_by_of_ones_own_stays():
    own = {"SENDGRID_BASE_URL": "https://provider.example", "ACS_EMAIL_CONNECTION": "endpoint=https://own.example/"}

    assert _resolve(environment=own).for_app()["ACS_EMAIL_CONNECTION"] == own["ACS_EMAIL_CONNECTION"]


def test_placeholders_and_empty_values_of_the_sample_count_as_not_set(tmp_path):
    values = {"A": "", "B": "AccountKey=<the emulator's key>;", "C": "set"}
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))

    assert read_local_settings(tmp_path) == {"C": "set"}


@pytest.mark.parametrize("text", ["{", "[]", '{"Values": ["a"]}', '{"Values": {"A": 1}}'])
def test_unusable_local_settings_are_refused_by_name(tmp_path, text):
    (tmp_path / "local.settings.json").write_text(text)

    with pytest.raises(BadLocalSettings, match=r"local\.settings\.json"):
        read_local_settings(tmp_path)


def test_the_sample_file_names_every_setting_of_the_app_and_no_secret(tmp_path):
    sample = json.loads((Path(__file__).parents[3] / "local.settings.sample.json").read_text())
    (tmp_path / "local.settings.json").write_text(json.dumps(sample))

    used = read_local_settings(tmp_path)

    assert set(_resolve().for_app()) <= set(sample["Values"])
    assert not set(_KEYS) & set(used)
    assert not [name for name, value in used.items() if "AccountKey" in value or "SharedAccessKey" in value]
