import json

import pytest

from shared.channels.slack import SlackContent, SlackHook
from shared.domain.errors import DestinationRefused, InDoubt, Rejected
from shared.domain.identifiers import AttemptId
from shared.ports import OutboundMessage
from shared.providers import slack
from shared.providers.slack import Slack, from_settings
from tests.unit.providers.recording_client import RecordingClient, answer

ATTEMPT = AttemptId("acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.slack.1")
URL = "https://hooks.slack.com/services/T0/B0/secret"
OK = answer(200, b"ok")


def message(content=None) -> OutboundMessage:
    return OutboundMessage(ATTEMPT, "slack", SlackHook(URL), content or SlackContent("Hi <b>"), "transactional")


async def test_posts_the_text_to_the_customers_own_webhook():
    client = RecordingClient(OK)

    accepted = await Slack(client).send(message())

    [posted] = client.posted
    assert accepted.delivered
    assert posted.url == URL
    assert json.loads(posted.body) == {"text": "Hi <b>"}
    assert posted.headers == {"content-type": "application/json", "x-attempt-id": ATTEMPT}


async def test_posts_blocks_as_they_are():
    client = RecordingClient(OK)
    blocks = ({"type": "divider"}, {"type": "section", "text": {"type": "plain_text", "text": "ü"}})

    await Slack(client).send(message(SlackContent("fallback", blocks)))

    assert json.loads(client.posted[0].body) == {"text": "fallback", "blocks": list(blocks)}


@pytest.mark.parametrize("word", slack.WORDS)
async def test_reads_every_word(word):
    kind, reason = slack.WORDS[word]

    with pytest.raises(kind) as caught:
        await Slack(RecordingClient(answer(418, f"{word}\n".encode()))).send(message())

    assert caught.value.reason == reason


async def test_a_success_that_is_not_slacks_is_in_doubt():
    with pytest.raises(InDoubt, match="malformed_answer"):
        await Slack(RecordingClient(answer(200, b"<html>ok</html>"))).send(message())


async def test_a_destination_that_is_refused_is_a_reject():
    with pytest.raises(Rejected, match="destination_refused"):
        await Slack(RecordingClient(DestinationRefused("no"))).send(message())


@pytest.mark.parametrize(("value", "on"), [("true", True), ("TRUE", True), ("", False), ("false", False), ("1", False)])
def test_it_is_there_when_it_is_switched_on(value, on):
    guarded = RecordingClient()
    built = from_settings({"SLACK_ENABLED": value}, RecordingClient(), guarded)

    assert (built is not None) is on
    assert built is None or built._guarded is guarded
