"""What every provider does alike when it sends, against a local server that plays each ending."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from shared import providers
from shared.adapters.guarded_destinations import GuardedClient
from shared.adapters.http_client import AiohttpClient
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.ports import HttpAnswer, OutboundMessage, Provider
from tests.contract.contract_shape import Contract
from tests.contract.provider_contracts import CONTRACTS, OPTIONAL, build, settings_for
from tests.contract.wires import HttpWire, SmtpWire

ONLY_ONE = {"WEBHOOK_SIGNING_SECRET": "webhook", "SLACK_ENABLED": "slack"}  # providers with one setting


def patience(wire: HttpWire | SmtpWire) -> timedelta:
    """Little where only a timeout ends the call, as nobody has 20 s for a silent server; else enough for a busy one."""
    return timedelta(seconds=0.3 if wire.keeps_waiting else 15)


class Hurried:
    """A client that waits as long as the test has patience, where the provider would wait longer."""

    def __init__(self, client: AiohttpClient | GuardedClient, wire: HttpWire | SmtpWire) -> None:
        self.client = client
        self.wire = wire
        self.close = client.close

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: timedelta) -> HttpAnswer:
        assert timedelta(seconds=15) <= timeout <= timedelta(seconds=20)
        return await self.client.post(url, headers=headers, body=body, timeout=patience(self.wire))

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: timedelta) -> HttpAnswer:
        return await self.client.get(url, headers=headers, timeout=patience(self.wire))


@dataclass
class Stage:
    server: HttpWire | SmtpWire
    contract: Contract
    provider: Provider
    message: OutboundMessage

    async def send(self):
        self.contract.hurry(self.provider, patience(self.server))
        return await self.provider.send(self.message)


def staged(contract: Contract, base_url: str) -> OutboundMessage:
    address = contract.message.address
    if address.destination is None:
        return contract.message
    return replace(contract.message, address=replace(address, url=address.destination.format(base_url=base_url)))


@contextlib.asynccontextmanager
async def on_stage(contract: Contract) -> AsyncIterator[Stage]:
    wire = contract.wire()
    http, guarded = Hurried(AiohttpClient(), wire), Hurried(GuardedClient(allow_http=True), wire)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    provider = contract.factory(settings_for(base_url), http, guarded)
    yield Stage(wire, contract, provider, staged(contract, base_url))
    for each in (http, guarded, provider):
        if hasattr(each, "close"):
            await each.close()
    server.close()
    await wire.close()


@pytest.fixture(params=list(CONTRACTS))
async def stage(request) -> AsyncIterator[Stage]:
    async with on_stage(CONTRACTS[request.param]) as stage:
        yield stage


@pytest.fixture(params=[name for name, contract in CONTRACTS.items() if contract.wire is HttpWire])
async def http_stage(request) -> AsyncIterator[Stage]:
    async with on_stage(CONTRACTS[request.param]) as stage:
        yield stage


async def test_accepted(stage):
    stage.server.accepts(stage.contract)

    accepted = await stage.send()

    assert accepted.provider_message_id == stage.contract.message_id
    assert accepted.delivered is stage.contract.delivered
    assert len(stage.server.requests) == 1
    assert stage.message.attempt_id.encode() in stage.server.requests[0]


@pytest.mark.parametrize(("asked", "seconds"), [("7", 7), ("0", 0), ("999999999", 3600)])
async def test_throttled_with_retry_after(http_stage, asked, seconds):
    http_stage.server.answer(429, {"Retry-After": asked})

    with pytest.raises(Throttled) as caught:
        await http_stage.send()

    assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}, {"Retry-After": "-1"}])
async def test_throttled_without_a_word_on_when(http_stage, header):
    http_stage.server.answer(429, header)

    with pytest.raises(Throttled) as caught:
        await http_stage.send()

    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
async def test_its_own_trouble_is_transient(http_stage, status):
    http_stage.server.answer(status, {"Retry-After": "5"}, b"<html>oops</html>")

    with pytest.raises(Transient) as caught:
        await http_stage.send()

    assert caught.value.retry_after == timedelta(seconds=5)


async def test_a_permanent_reject(stage):
    stage.server.rejects(stage.contract)

    with pytest.raises(Rejected) as caught:
        await stage.send()

    assert caught.value.reason in {"invalid_address", "invalid_request", "device_unregistered", "gone"}


async def test_an_authentication_failure_is_our_misconfiguration(stage):
    stage.server.refuses_us(stage.contract)

    with pytest.raises(Misconfigured if stage.contract.unauthorised else Rejected):
        await stage.send()


async def test_a_redirect_is_not_followed(http_stage):
    http_stage.server.answer(302, {"Location": "http://127.0.0.1:9/"})

    with pytest.raises((Misconfigured, Rejected), match="redirect"):
        await http_stage.send()

    assert len(http_stage.server.requests) == 1


async def test_a_status_that_nobody_documents_is_a_reject_that_names_it(http_stage):
    http_stage.server.answer(418)

    with pytest.raises(Rejected):
        await http_stage.send()


async def test_throttled(stage):
    stage.server.throttles()

    with pytest.raises(Throttled):
        await stage.send()


async def test_its_own_trouble(stage):
    stage.server.has_trouble()

    with pytest.raises(Transient):
        await stage.send()


async def test_no_answer_is_in_doubt(stage):
    stage.server.hangs()

    with pytest.raises(InDoubt, match="no_answer"):
        await stage.send()


async def test_a_reset_is_in_doubt(stage):
    stage.server.resets()

    with pytest.raises(InDoubt, match="connection_lost"):
        await stage.send()


async def test_a_malformed_answer_is_in_doubt(stage):
    stage.server.talks_garbage()

    with pytest.raises(InDoubt, match="malformed_answer"):
        await stage.send()


async def test_an_answer_that_drips_is_in_doubt(stage):
    stage.server.drips(stage.contract)

    with pytest.raises(InDoubt, match="no_answer"):
        await stage.send()


@pytest.mark.parametrize("fault", ["throttles", "has_trouble", "hangs", "resets", "talks_garbage", "drips", "rejects"])
async def test_after_a_burst_of_any_fault_the_next_message_goes_through(stage, fault):
    play = getattr(stage.server, fault)
    play(stage.contract) if fault in {"drips", "rejects"} else play()
    for _ in range(2):
        with pytest.raises(ProviderError):
            await stage.send()

    stage.server.accepts(stage.contract)

    assert (await stage.send()).provider_message_id == stage.contract.message_id


async def test_no_call_is_repeated_by_the_provider_itself(stage):
    stage.server.resets()

    with pytest.raises(InDoubt):
        await stage.send()

    assert len(stage.server.requests) == 1


@pytest.mark.parametrize("name", list(CONTRACTS))
async def test_a_refused_connection_is_transient(name):
    contract = CONTRACTS[name]
    http, guarded = AiohttpClient(), GuardedClient(allow_http=True)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        provider = contract.factory(settings_for(base_url), http, guarded)

        with pytest.raises(Transient, match="connection_failed"):
            await provider.send(staged(contract, base_url))

    await http.close()
    await guarded.close()


async def test_another_channels_message_is_rejected_unsent(stage):
    other = CONTRACTS["twilio" if stage.provider.channel == "email" else "sendgrid"].message

    with pytest.raises(Rejected, match="wrong_channel"):
        await stage.provider.send(other)

    assert stage.server.requests == []


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_its_name_and_channel(name):
    assert (build(name).name, build(name).channel) == (name, CONTRACTS[name].message.channel)


@pytest.mark.parametrize("name", list(CONTRACTS))
def test_it_is_absent_without_settings(name):
    assert CONTRACTS[name].factory({"PUBLIC_BASE_URL": "https://x.example"}, AiohttpClient(), AiohttpClient()) is None


@pytest.mark.parametrize(
    "setting", sorted(set(settings_for("http://127.0.0.1:9")) - OPTIONAL - {"NOTIFICATION_HUBS_BASE_URL"})
)
def test_a_missing_setting_is_named(setting):
    settings = {name: value for name, value in settings_for("http://127.0.0.1:9").items() if name != setting}

    if setting in ONLY_ONE:  # without it the provider is simply absent
        left = providers.configured_providers(settings, AiohttpClient(), AiohttpClient())
        assert ONLY_ONE[setting] not in {provider.name for provider in left}
        return
    with pytest.raises(ValueError, match=setting) as caught:
        providers.configured_providers(settings, AiohttpClient(), AiohttpClient())

    assert not any(value in str(caught.value) for value in settings.values() if len(value) > 3)


@pytest.mark.parametrize("value", ["ftp://x.example", "x.example", "https://x.example/path", "https://u@x.example", ""])
@pytest.mark.parametrize("setting", ["SENDGRID_BASE_URL", "TWILIO_BASE_URL", "PUBLIC_BASE_URL"])
def test_a_base_url_that_is_none_is_named(setting, value):
    with pytest.raises(ValueError, match=setting):
        providers.configured_providers(
            settings_for("http://127.0.0.1:9") | {setting: value}, AiohttpClient(), AiohttpClient()
        )


def test_every_registered_provider_is_under_contract():
    assert {contract.factory for contract in CONTRACTS.values()} == set(providers.PROVIDERS)
