"""Slack by incoming webhooks: takes an attempt, posts it to the customer's own webhook; its answer is the delivery.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (read 2026-11-25), errors:
https://docs.slack.dev/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks

The URL is the credential, so there is no account of ours and no setting but the one that switches the channel on. Slack
posts no receipts and gives no message id: "ok" means that the message is in the conversation. The attempt id travels as
a header, for those who look at the wire; nothing brings it back.

Unverified against the real service: that an unknown header is ignored.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import orjson

from shared.channels.slack import SlackContent, SlackHook
from shared.domain.capabilities import Capabilities
from shared.domain.errors import DestinationRefused, InDoubt, ProviderError, Rejected, Throttled, Transient
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage
from shared.providers.provider_answer import Failure, failure_of, is_success, retry_after, utc_now
from shared.providers.provider_settings import is_true

CALL_TIMEOUT = timedelta(seconds=15)

# The word in the answer's body says more than the status it comes with.
WORDS: Mapping[str, Failure] = {
    "invalid_payload": (Rejected, "invalid_content"),
    "invalid_blocks": (Rejected, "invalid_content"),
    "invalid_blocks_format": (Rejected, "invalid_content"),
    "no_text": (Rejected, "invalid_content"),
    "action_prohibited": (Rejected, "refused_by_recipient"),
    "posting_to_general_channel_denied": (Rejected, "refused_by_recipient"),
    "user_not_found": (Rejected, "gone"),
    "channel_not_found": (Rejected, "gone"),
    "channel_is_archived": (Rejected, "gone"),
    "invalid_token": (Rejected, "gone"),
    "no_service": (Rejected, "gone"),
    "no_team": (Rejected, "gone"),
    "team_disabled": (Rejected, "gone"),
    "rate_limited": (Throttled, "too_many_requests"),
    "rollup_error": (Transient, "provider_unavailable"),
}
# Used when the answer says no word of the table above.
STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_content"),
    403: (Rejected, "refused_by_recipient"),
    404: (Rejected, "gone"),
    410: (Rejected, "gone"),
    413: (Rejected, "content_too_large"),
    429: (Throttled, "too_many_requests"),
}


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "Slack | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None unless SLACK_ENABLED is true."""
    return Slack(guarded) if is_true(settings.get("SLACK_ENABLED", "")) else None


class Slack:
    """Carries Slack messages; posts no receipts."""

    name = "slack"
    channel = "slack"
    capabilities = Capabilities(one_far_side=False)  # each incoming webhook is throttled and revoked on its own

    def __init__(self, guarded: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        self._guarded = guarded
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Post one message; acceptance is delivery.

        Raises:
            Transient, Throttled, Rejected, InDoubt: by the tables above.
        """
        if not isinstance(message.address, SlackHook) or not isinstance(message.content, SlackContent):
            raise Rejected("wrong_channel")
        said = {"text": message.content.text}
        body = orjson.dumps(said | ({"blocks": message.content.blocks} if message.content.blocks else {}))
        headers = {"content-type": "application/json", "x-attempt-id": message.attempt_id}
        try:
            answer = await self._guarded.post(message.address.url, headers=headers, body=body, timeout=CALL_TIMEOUT)
        except DestinationRefused as error:
            raise Rejected("destination_refused") from error
        if not is_success(answer):
            raise self._failure(answer)
        if answer.body.strip() != b"ok":
            raise InDoubt("malformed_answer")  # something between us and Slack may have answered
        return Accepted(delivered=True)

    def _failure(self, answer: HttpAnswer) -> ProviderError:
        listed = WORDS.get(answer.body[:64].decode("ascii", "replace").strip())
        if listed is None:
            return failure_of(self.name, STATUSES, answer, self._now())
        kind, reason = listed
        return kind(reason, retry_after=retry_after(answer.headers, self._now()))
