"""host.json, local.settings.json, expressions, connections."""

import json
import logging

import pytest

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.host_overrides import is_switched_off
from local_azure.functions_host.host_settings import (
    HostOptions,
    load_host_options,
    load_local_settings,
    parse_time_span,
    resolve_connection,
    resolve_expressions,
)


def test_without_a_file_the_defaults_of_azure_hold(tmp_path):
    assert load_host_options(tmp_path) == HostOptions()


def test_known_keys_are_read_and_unknown_ones_ignored(tmp_path):
    document = {
        "version": "2.0",
        "functionTimeout": "00:10:00",
        "extensions": {
            "http": {"routePrefix": "/", "maxOutstandingRequests": -1, "maxConcurrentRequests": 7, "other": 1},
            "serviceBus": {
                "maxConcurrentCalls": 3,
                "maxMessageBatchSize": 50,
                "minMessageBatchSize": 5,
                "maxBatchWaitTime": "00:00:10",
                "autoCompleteMessages": False,
                "maxAutoLockRenewalDuration": "00:01:30",
            },
            "durableTask": {"hubName": "hub", "maxConcurrentActivityFunctions": 2},
        },
        "logging": {"logLevel": {"default": "Warning", "Function": "Debug"}},
    }
    (tmp_path / "host.json").write_text(json.dumps(document))

    options = load_host_options(tmp_path)

    assert options.route_prefix == ""
    assert options.max_outstanding_requests > 10_000
    assert options.max_concurrent_requests == 7
    assert (options.max_concurrent_calls, options.max_message_batch_size, options.min_message_batch_size) == (3, 50, 5)
    assert (options.max_batch_wait_seconds, options.max_auto_lock_renewal_seconds) == (10.0, 90.0)
    assert options.auto_complete_messages is False
    assert options.function_timeout_seconds == 600.0
    assert (options.hub_name, options.durable["maxConcurrentActivityFunctions"]) == ("hub", 2)
    assert (options.host_log_level, options.worker_log_level) == (logging.WARNING, logging.DEBUG)


def test_an_unlimited_timeout(tmp_path):
    (tmp_path / "host.json").write_text('{"functionTimeout": "-1"}')

    assert load_host_options(tmp_path).function_timeout_seconds is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"functionTimeout": "soon"}',
        '{"extensions": {"serviceBus": {"maxConcurrentCalls": 0}}}',
        '{"extensions": {"serviceBus": {"maxConcurrentCalls": "16"}}}',
        '{"extensions": {"serviceBus": {"maxBatchWaitTime": "10"}}}',
        '{"logging": {"logLevel": {"default": "Loud"}}}',
    ],
)
def test_a_wrong_host_json_is_refused_by_name(tmp_path, text):
    (tmp_path / "host.json").write_text(text)

    with pytest.raises(SettingsInvalid, match=r"host\.json"):
        load_host_options(tmp_path)


def test_local_settings_never_override_the_environment(tmp_path):
    (tmp_path / "local.settings.json").write_text('\ufeff{"Values": {"A": "file", "B": "file"}}', encoding="utf-8")
    environment = {"A": "shell"}

    assert load_local_settings(tmp_path, environment) == 1
    assert environment == {"A": "shell", "B": "file"}


def test_expressions_name_settings():
    assert resolve_expressions("a-%X%-%Y%", {"X": "1", "Y": "2"}) == "a-1-2"
    with pytest.raises(SettingsInvalid, match="%MISSING%"):
        resolve_expressions("%MISSING%", {})


def test_connections_are_found_under_their_azure_names():
    assert resolve_connection("BUS", "fullyQualifiedNamespace", {"BUS": "text"}).connection_string == "text"
    assert resolve_connection("BUS", "x", {"AzureWebJobsBUS": "text"}).setting == "AzureWebJobsBUS"
    by_identity = resolve_connection("BUS", "fullyQualifiedNamespace", {"BUS__fullyQualifiedNamespace": "ns.example"})
    assert (by_identity.connection_string, by_identity.endpoint) == (None, "ns.example")
    with pytest.raises(SettingsInvalid, match="neither BUS nor BUS__accountEndpoint"):
        resolve_connection("BUS", "accountEndpoint", {})


def test_time_spans():
    assert [parse_time_span(text) for text in ("00:05:00", "1.02:03:04.5")] == [300.0, 93784.5]
    with pytest.raises(ValueError, match="time span"):
        parse_time_span("5m")


def test_settings_override_host_json_by_path(tmp_path):
    (tmp_path / "host.json").write_text('{"extensions": {"serviceBus": {"maxConcurrentCalls": 4, "prefetchCount": 7}}}')
    environment = {
        "AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls": "9",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "v9",
        "AzureFunctionsJobHost__functionTimeout": "00:01:00",
        "AzureFunctionsJobHost__extensions__serviceBus__autoCompleteMessages": "False",
    }

    options = load_host_options(tmp_path, environment)

    assert (options.max_concurrent_calls, options.prefetch_count) == (9, 7)
    assert (options.route_prefix, options.function_timeout_seconds) == ("v9", 60.0)
    assert options.auto_complete_messages is False
    with pytest.raises(SettingsInvalid, match="maxConcurrentCalls"):
        load_host_options(tmp_path, {"AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls": "many"})


def test_a_setting_switches_a_function_off():
    assert is_switched_off("Send", {"AzureWebJobs.Send.Disabled": "true"})
    assert is_switched_off("Send", {"AzureWebJobs__send__Disabled": "1"})
    assert not is_switched_off("Send", {"AzureWebJobs.Send.Disabled": "false", "AzureWebJobs.Other.Disabled": "true"})
