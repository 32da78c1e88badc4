import asyncio
import json
from datetime import timedelta
from urllib.parse import parse_qs

import jwt
import pytest

from shared.channels.push import RegisteredDevices
from shared.domain.address import Devices, DeviceToken
from shared.domain.call_start import call_may_start, calls_ask
from shared.domain.content import PushContent
from shared.domain.errors import InDoubt, Misconfigured, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.ports import HttpAnswer, OutboundMessage
from shared.providers import fcm
from shared.providers.fcm import Fcm, FcmSettings
from shared.providers.google_access_token import ServiceAccount
from tests.contract.provider_contracts import SERVICE_ACCOUNT, SERVICE_ACCOUNT_KEY
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.push.1"
ACCOUNT = ServiceAccount.of_json("FCM_SERVICE_ACCOUNT", SERVICE_ACCOUNT)
SETTINGS = FcmSettings("https://fcm.example", "https://tokens.example", ACCOUNT, ("whsec_AAAA",))
TAKEN = answer(200, b'{"name":"projects/acme-app/messages/0:15"}')


class Google(RecordingClient):
    """Grants tokens named t1, t2 …, or answers ``refusal``, and leaves the other calls to the recording."""

    def __init__(self, *answers) -> None:
        super().__init__(*answers)
        self.token_calls: list[bytes] = []
        self.refusal: HttpAnswer | Exception | None = None
        self.seconds = 3600
        self.gate: asyncio.Event | None = None

    async def post(self, url, *, headers, body, timeout):
        if url != "https://tokens.example/token":
            return await super().post(url, headers=headers, body=body, timeout=timeout)
        await call_may_start()  # as the client that is used does, before the first byte
        self.token_calls.append(body)
        if self.gate:
            await self.gate.wait()
        if isinstance(self.refusal, Exception):
            raise self.refusal
        granted = {"access_token": f"t{len(self.token_calls)}", "expires_in": self.seconds, "token_type": "Bearer"}
        return self.refusal or answer(200, json.dumps(granted).encode())


def provider(client, now=lambda: NOW) -> Fcm:
    return Fcm(SETTINGS, client, now)


def message(device="device-1") -> OutboundMessage:
    return OutboundMessage(
        AttemptId(ATTEMPT),
        "push",
        Devices((DeviceToken("fcm", device),)),
        PushContent("Title", "Body", {"order": "7"}),
        "transactional",
    )


def refusal(status, code=None, *, field=None, text="", **headers):
    details = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}] if code else []
    if field:
        violation = {"field": field, "description": "wrong"}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    error = {"code": status, "message": text, "status": "X", "details": details}
    return answer(status, json.dumps({"error": error}).encode(), **headers)


async def test_sends_to_one_device_with_a_token_of_the_service_account():
    client = Google(TAKEN)

    accepted = await provider(client).send(message())

    assert accepted.provider_message_id == "0:15"
    [posted] = client.posted
    assert posted.url == "https://fcm.example/v1/projects/acme-app/messages:send"
    assert posted.headers["authorization"] == "Bearer t1"
    assert json.loads(posted.body) == {
        "message": {
            "token": "device-1",
            "notification": {"title": "Title", "body": "Body"},
            "data": {"order": "7", "attempt_id": ATTEMPT},
        }
    }


async def test_asks_for_the_token_with_a_signed_assertion():
    client = Google(TAKEN)
    await provider(client).send(message())

    [form] = map(parse_qs, map(bytes.decode, client.token_calls))
    assertion = form["assertion"][0]
    claims = jwt.decode(
        assertion,
        SERVICE_ACCOUNT_KEY.public_key(),
        algorithms=["RS256"],
        audience="https://oauth2.googleapis.com/token",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert (claims["iss"], claims["scope"]) == ("push@acme-app.example", fcm.SCOPE)
    assert (claims["iat"], claims["exp"] - claims["iat"]) == (int(NOW.timestamp()), 3600)
    assert jwt.get_unverified_header(assertion)["kid"] == "key-1"


async def test_the_token_is_kept_until_shortly_before_its_end():
    clock = [NOW]
    client = Google(TAKEN)
    push = provider(client, lambda: clock[0])
    for minutes in (0, 54, 55, 56):
        clock[0] = NOW + timedelta(minutes=minutes)
        await push.send(message())

    assert [posted.headers["authorization"] for posted in client.posted] == ["Bearer t1"] * 2 + ["Bearer t2"] * 2


async def test_many_sends_at_once_ask_for_one_token():
    client = Google(TAKEN)
    client.gate = asyncio.Event()
    push = provider(client)
    sends = [asyncio.create_task(push.send(message(f"device-{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    sends[0].cancel()  # the one that asked; the others must not lose the token by it
    client.gate.set()

    await asyncio.gather(*sends, return_exceptions=True)

    assert (len(client.token_calls), len(client.posted)) == (1, 19)


async def test_a_token_takes_no_turn_of_a_limit_on_messages():
    async def refuse() -> None:
        raise Throttled("provider_limit")

    client = Google(TAKEN)
    calls_ask(refuse)

    await provider(client).send(message())

    assert len(client.token_calls) == 1


@pytest.mark.parametrize(
    ("answered", "kind", "reason"),
    [
        (answer(400, b'{"error":"invalid_grant"}'), Misconfigured, "authentication_failed"),
        (answer(401), Misconfigured, "authentication_failed"),
        (answer(404), Misconfigured, "token_endpoint_not_found"),
        (answer(429, retry_after="9"), Throttled, "too_many_requests"),
        (answer(503), Transient, "provider_unavailable"),
        (answer(200, b"<html>"), Transient, "token_unavailable"),
        (answer(200, b'{"access_token":"","expires_in":3600}'), Transient, "token_unavailable"),
        (answer(200, b'{"access_token":"t"}'), Transient, "token_unavailable"),
        (InDoubt("no_answer"), Transient, "token_unavailable"),
        (Transient("connection_failed"), Transient, "connection_failed"),
    ],
)
async def test_without_a_token_nothing_is_sent_and_nothing_is_in_doubt(answered, kind, reason):
    client = Google(TAKEN)
    client.refusal = answered

    with pytest.raises(kind, match=reason):
        await provider(client).send(message())

    assert client.posted == []


async def test_a_token_that_can_not_be_renewed_is_used_to_its_end():
    clock = [NOW]
    client = Google(TAKEN)
    push = provider(client, lambda: clock[0])
    await push.send(message())
    client.refusal = answer(503)

    clock[0] = NOW + timedelta(minutes=58)
    await push.send(message())
    clock[0] = NOW + timedelta(minutes=61)
    with pytest.raises(Transient):
        await push.send(message())

    assert [posted.headers["authorization"] for posted in client.posted] == ["Bearer t1"] * 2


async def test_a_refused_token_is_not_used_again():
    client = Google(answer(401), TAKEN)
    push = provider(client)

    with pytest.raises(Misconfigured, match="authentication_failed"):
        await push.send(message())
    await push.send(message())

    assert [posted.headers["authorization"] for posted in client.posted] == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize("code", fcm.CODES)
async def test_reads_every_error_code(code):
    kind, reason = fcm.CODES[code]

    with pytest.raises(kind) as caught:
        await provider(Google(refusal(418, code))).send(message())

    assert caught.value.reason == reason


async def test_a_gone_device_is_known_at_once():
    with pytest.raises(Rejected, match="device_unregistered"):
        await provider(Google(refusal(404, "UNREGISTERED"))).send(message())


async def test_another_accounts_failure_does_not_cost_the_token():
    client = Google(refusal(401, "THIRD_PARTY_AUTH_ERROR"), TAKEN)
    push = provider(client)

    with pytest.raises(Misconfigured, match="third_party_auth_failed"):
        await push.send(message())
    await push.send(message())

    assert len(client.token_calls) == 1


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        (refusal(400, "INVALID_ARGUMENT", field="message.token"), "invalid_address"),
        (refusal(400, "INVALID_ARGUMENT", text="The registration token is not valid"), "invalid_address"),
        (refusal(400, "INVALID_ARGUMENT", field="message.data[0].value"), "invalid_request"),
        (refusal(400, "INVALID_ARGUMENT", text="Message too big"), "invalid_request"),
        (refusal(400), "invalid_request"),
    ],
)
async def test_tells_a_wrong_token_from_a_wrong_message(answered, reason):
    with pytest.raises(Rejected, match=reason):
        await provider(Google(answered)).send(message())


@pytest.mark.parametrize(("headers", "seconds"), [({}, 60), ({"retry_after": "7"}, 7), ({"retry_after": "0"}, 0)])
async def test_a_used_up_quota_waits_as_the_documentation_asks(headers, seconds):
    with pytest.raises(Throttled) as caught:
        await provider(Google(refusal(429, "QUOTA_EXCEEDED", **headers))).send(message())

    assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
async def test_a_success_that_is_not_fcms_is_in_doubt(body):
    with pytest.raises(InDoubt, match="malformed_answer"):
        await provider(Google(answer(200, body))).send(message())


@pytest.mark.parametrize(
    "address", [Devices((DeviceToken("apns", "a"),)), RegisteredDevices("c")], ids=["apns", "registered"]
)
async def test_what_it_can_not_reach_is_left_to_others_unsent(address):
    client = Google(TAKEN)
    other = OutboundMessage(AttemptId(ATTEMPT), "push", address, PushContent("t", "b"), "transactional")

    with pytest.raises(Rejected, match="platform_not_supported") as caught:
        await provider(client).send(other)

    assert caught.value.elsewhere
    assert client.posted == client.token_calls == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"private_key":"x"}', SERVICE_ACCOUNT.replace("BEGIN PRIVATE", "BEGIN OTHER")]
)
def test_a_malformed_account_is_named_and_not_shown(text):
    with pytest.raises(ValueError, match="FCM_SERVICE_ACCOUNT is not a service account's key") as caught:
        ServiceAccount.of_json("FCM_SERVICE_ACCOUNT", text)

    assert caught.value.__suppress_context__
    assert "PRIVATE" not in str(caught.value)


def test_secrets_stay_out_of_representations():
    assert "whsec" not in repr(SETTINGS)
    assert "PRIVATE" not in repr(ACCOUNT)
    assert "key=" not in repr(ACCOUNT)
