"""Webhooks to recipients: takes an attempt, posts it signed to the recipient's own URL; its answer is the delivery.

Signed as Standard Webhooks 1.0.0 (shared/domain/webhook_signature.py) with the attempt id as ``webhook-id``, through
the guarded client only. There are no receipts: a 2xx is the recipient's own word.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.address import WebhookUrl
from shared.domain.capabilities import Capabilities
from shared.domain.content import WebhookContent
from shared.domain.errors import DestinationRefused, Rejected, Throttled, Transient
from shared.domain.webhook_signature import signed_headers
from shared.ports import Accepted, HttpClient, OutboundMessage
from shared.providers.provider_answer import Failure, failure_of, is_success, utc_now
from shared.providers.provider_settings import own_settings, webhook_secrets

CALL_TIMEOUT = timedelta(seconds=15)  # the specification's lower bound for receivers to answer

STATUSES: Mapping[int, Failure] = {
    **dict.fromkeys(range(300, 400), (Rejected, "redirect_refused")),
    **dict.fromkeys(range(400, 500), (Rejected, "refused_by_recipient")),
    404: (Rejected, "not_found"),
    408: (Transient, "recipient_unavailable"),
    410: (Rejected, "gone"),
    413: (Rejected, "content_too_large"),
    425: (Transient, "recipient_unavailable"),
    429: (Throttled, "too_many_requests"),
    **dict.fromkeys(range(500, 600), (Transient, "recipient_unavailable")),
}


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """The secrets that recipients verify with, newest first; several while they rotate."""

    signing_secrets: Sequence[str] = field(repr=False)


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "Webhook | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None without WEBHOOK_SIGNING_SECRET (several secrets are separated by spaces).

    Raises:
        ValueError: a secret is malformed.
    """
    own = own_settings(settings, "WEBHOOK_SIGNING_SECRET")
    if own is None:
        return None
    secrets = webhook_secrets("WEBHOOK_SIGNING_SECRET", own["WEBHOOK_SIGNING_SECRET"])
    return Webhook(WebhookSettings(secrets), guarded)


class Webhook:
    """Carries webhooks; posts no receipts."""

    name = "webhook"
    channel = "webhook"
    capabilities = Capabilities(one_far_side=False)  # every recipient is a far side of its own

    def __init__(self, settings: WebhookSettings, guarded: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        self._secrets = settings.signing_secrets
        self._guarded = guarded
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Post one webhook; acceptance is delivery.

        Raises:
            Transient, Throttled, Rejected, InDoubt: by the table above.
        """
        if not isinstance(message.address, WebhookUrl) or not isinstance(message.content, WebhookContent):
            raise Rejected("wrong_channel")
        body = message.content.body.encode()
        headers = signed_headers(self._secrets, message.attempt_id, self._now(), body)
        headers["content-type"] = "application/json"
        try:
            answer = await self._guarded.post(message.address.url, headers=headers, body=body, timeout=CALL_TIMEOUT)
        except DestinationRefused as error:
            raise Rejected("destination_refused") from error
        if is_success(answer):
            return Accepted(delivered=True)
        raise failure_of(self.name, STATUSES, answer, self._now())
