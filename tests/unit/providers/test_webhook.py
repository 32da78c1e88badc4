from datetime import timedelta

import pytest

from shared.domain.address import WebhookUrl
from shared.domain.content import WebhookContent
from shared.domain.errors import DestinationRefused, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.domain.webhook_signature import verify
from shared.ports import OutboundMessage
from shared.providers.webhook import Webhook, WebhookSettings, from_settings
from tests.unit.providers.recording_client import NOW, RecordingClient, answer

ATTEMPT = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.webhook.1"
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
MESSAGE = OutboundMessage(
    AttemptId(ATTEMPT), "webhook", WebhookUrl("https://example.com/hook"), WebhookContent('{"ä":1}'), "transactional"
)


def provider(client) -> Webhook:
    return Webhook(WebhookSettings(SECRETS), client, lambda: NOW)


@pytest.mark.parametrize("secret", SECRETS)
async def test_posts_the_document_signed_with_every_secret(secret):
    client = RecordingClient(answer(200))

    accepted = await provider(client).send(MESSAGE)

    (posted,) = client.posted
    verify([secret], posted.headers, posted.body, NOW)
    assert accepted.delivered
    assert (posted.url, posted.body) == ("https://example.com/hook", '{"ä":1}'.encode())
    assert posted.headers["webhook-id"] == ATTEMPT
    assert posted.headers["content-type"] == "application/json"
    assert posted.timeout == timedelta(seconds=15)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_delivered(status):
    assert (await provider(RecordingClient(answer(status))).send(MESSAGE)).delivered


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (301, Rejected, "redirect_refused"),
        (304, Rejected, "redirect_refused"),
        (308, Rejected, "redirect_refused"),
        (400, Rejected, "refused_by_recipient"),
        (401, Rejected, "refused_by_recipient"),
        (404, Rejected, "not_found"),
        (408, Transient, "recipient_unavailable"),
        (410, Rejected, "gone"),
        (425, Transient, "recipient_unavailable"),
        (429, Throttled, "too_many_requests"),
        (499, Rejected, "refused_by_recipient"),
        (500, Transient, "recipient_unavailable"),
        (503, Transient, "recipient_unavailable"),
        (999, Transient, "provider_unavailable"),
    ],
)
async def test_other_answers(status, kind, reason):
    with pytest.raises(kind) as caught:
        await provider(RecordingClient(answer(status))).send(MESSAGE)

    assert caught.value.reason == reason


async def test_a_refused_destination_is_a_reject():
    with pytest.raises(Rejected, match="destination_refused") as caught:
        await provider(RecordingClient(DestinationRefused("inner"))).send(MESSAGE)

    assert isinstance(caught.value.__cause__, DestinationRefused)


async def test_only_the_guarded_client_is_used():
    plain, guarded = RecordingClient(answer(200)), RecordingClient(answer(200))
    built = from_settings({"WEBHOOK_SIGNING_SECRET": " ".join(SECRETS)}, plain, guarded)

    await built.send(MESSAGE)

    assert (len(plain.posted), len(guarded.posted)) == (0, 1)
    assert guarded.posted[0].headers["webhook-signature"].count("v1,") == 2


def test_a_malformed_secret_is_refused_at_once_and_not_shown():
    with pytest.raises(ValueError, match="WEBHOOK_SIGNING_SECRET") as caught:
        from_settings({"WEBHOOK_SIGNING_SECRET": "hunter2"}, RecordingClient(), RecordingClient())

    assert "hunter2" not in str(caught.value)
