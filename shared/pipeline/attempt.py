"""Make the attempts of claimed deliveries: render, wait for the turn, call the provider, judge what came of it.

Takes deliveries that this worker holds the claim of, each with the provider that is to carry it; gives tasks, each of
which ends with what some of them came to. No task ever raises: what a fault of ours means for a delivery is judged too.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shared.channels import CHANNELS
from shared.domain import verdict
from shared.domain.content import Content
from shared.domain.errors import InDoubt, ProviderError, Rejected, TemplateUnusable, Transient
from shared.domain.notification import Delivery, Notification
from shared.domain.status import DeliveryStatus
from shared.domain.targets import judge
from shared.domain.verdict import Situation, Verdict
from shared.pipeline.pacing import Pace
from shared.pipeline.services import Services
from shared.pipeline.targets import send_to_targets
from shared.ports import OutboundMessage, Provider

logger = logging.getLogger(__name__)

_WENT_WELL = {DeliveryStatus.SENT, DeliveryStatus.DELIVERED}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A claimed delivery and who is to carry it; ``order`` names all who may, the most preferred first."""

    notification: Notification
    channel: str
    provider: Provider
    order: tuple[str, ...] = ()

    @property
    def delivery(self) -> Delivery:
        """The claimed delivery."""
        return self.notification.deliveries[self.channel]


Judged = tuple[Notification, Verdict]


def start_attempts(
    assigned: Sequence[Assignment], pace: Pace, services: Services
) -> set[asyncio.Task[Sequence[Judged]]]:
    """The attempts under way; together the tasks give one verdict for each assignment."""
    return {asyncio.create_task(_attempt(assignment, pace, services)) for assignment in assigned}


async def _attempt(assignment: Assignment, pace: Pace, services: Services) -> Sequence[Judged]:
    result = await _try_once(assignment, pace, services)
    # What went well is in the store and in the metrics; a line for each would cost more than the delivery.
    level = logging.DEBUG if result.status in _WENT_WELL else logging.INFO
    logger.log(
        level,
        "Attempt finished",
        extra={
            "tracking_id": assignment.notification.tracking_id,
            "channel": assignment.channel,
            "attempt": result.attempt.number,
            "provider": assignment.provider.name,
            "status": result.status.value,
            "reason": result.reason,
        },
    )
    return [(assignment.notification, result)]


async def _try_once(assignment: Assignment, pace: Pace, services: Services) -> Verdict:
    notification, delivery = assignment.notification, assignment.delivery
    attempt = delivery.attempts[-1]
    if notification.expires_at and services.clock.now() >= notification.expires_at:
        return Verdict(DeliveryStatus.EXPIRED, attempt)
    try:
        message = _message(assignment, await _content(notification, delivery, services))
        if (count := len(delivery.address.targets)) > 1:
            answers = await send_to_targets(message, assignment.provider, pace, delivery.attempts[:-1])
            return judge(_situation(assignment, services), count, answers)
        await pace.turn()
        answer = await assignment.provider.send(message)
    except ProviderError as error:
        return verdict.failed(_situation(assignment, services), error)
    except Exception:
        # A fault of ours: whether bytes left is unknown, so it is treated as what it may be.
        logger.exception("Attempt failed unexpectedly", extra={"tracking_id": notification.tracking_id})
        return verdict.failed(_situation(assignment, services), InDoubt("internal_error"))
    return verdict.accepted(_situation(assignment, services), answer.provider_message_id, delivered=answer.delivered)


def _message(assignment: Assignment, content: Content) -> OutboundMessage:
    notification, delivery = assignment.notification, assignment.delivery
    return OutboundMessage(
        attempt_id=delivery.attempts[-1].id,
        channel=delivery.channel,
        address=delivery.address,
        content=content,
        category=notification.category.value,
        lane=notification.lane,
        expires_at=notification.expires_at,
    )


def _situation(assignment: Assignment, services: Services) -> Situation:
    attempts = assignment.delivery.attempts
    return Situation(
        attempt=attempts[-1],
        earlier=attempts[:-1],
        max_attempts=CHANNELS[assignment.channel].max_attempts,
        provider=assignment.provider.name,
        now=services.clock.now(),
        retry_patience=services.patience.retry,
        in_doubt_patience=services.patience.in_doubt,
        order=assignment.order,
        expires_at=assignment.notification.expires_at,
    )


async def _content(notification: Notification, delivery: Delivery, services: Services) -> Content:
    """What is to be said. Raises Rejected when template and data don't fit, Transient when the template is away."""
    if delivery.content is not None:
        return delivery.content
    ref = notification.template
    template = await services.templates.find(notification.tenant_id, ref.id, ref.version) if ref else None
    if ref is None or template is None:
        raise Transient("template_not_found")
    channel = CHANNELS[delivery.channel]
    try:
        parts = services.renderer.render(template, ref.locale, channel.parts, notification.data)
    except TemplateUnusable as error:
        raise Rejected("template_unusable") from error
    content = channel.compose(parts, ref.id, notification.data)
    if channel.refuses(content):
        raise Rejected("content_refused")
    return content
