"""Make the attempts of claimed deliveries: render, wait for the turn, call the provider, judge what came of it.

Takes deliveries that this worker holds the claim of, each with the provider that is to carry it; gives tasks, each of
which ends with what some of them came to. No task ever raises: what a fault of ours means for a delivery is judged too.

A task is one provider call. A provider that can carry many attempts in one call gets as many together as it can.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeGuard

from shared.channels import CHANNELS
from shared.domain import verdict
from shared.domain.content import Content
from shared.domain.errors import InDoubt, ProviderError, Rejected, TemplateUnusable, Transient
from shared.domain.notification import Delivery, Notification
from shared.domain.routing import was_untried
from shared.domain.status import DeliveryStatus
from shared.domain.targets import TargetAnswer, judge
from shared.domain.verdict import Situation, Verdict
from shared.pipeline.consent_check import check_before_send
from shared.pipeline.pacing import Pace
from shared.pipeline.send_checks import Candidate
from shared.pipeline.services import Services
from shared.pipeline.spending import Charge
from shared.pipeline.targets import send_to_targets
from shared.ports import Accepted, GroupProvider, OutboundMessage, Provider

logger = logging.getLogger(__name__)

SIMULATED = "simulated"  # stands where a provider's name stands in the records of tests, which call nobody
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
_Answer = Accepted | ProviderError | Sequence[TargetAnswer]  # the last of a message with several targets


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An assignment and what its provider is to be handed."""

    assignment: Assignment
    message: OutboundMessage
    charge: Charge = field(default_factory=Charge)


async def start_attempts(
    assigned: Sequence[Assignment], pace: Pace, services: Services
) -> set[asyncio.Task[Sequence[Judged]]]:
    """The attempts under way; together the tasks give one verdict for each assignment. All are for one provider."""
    prepared: list[_Prepared] = []
    settled: list[Judged] = []
    for assignment in assigned:
        ready = await _prepare(assignment, services)
        if isinstance(ready, OutboundMessage):
            prepared.append(_Prepared(assignment, ready))
        else:
            settled.append(_judged(assignment, ready))
    cleared = await _checked(prepared, settled, services)
    tasks = {asyncio.create_task(_call(group, pace, services)) for group in _groups(cleared)}
    return tasks | {asyncio.create_task(_known(settled))} if settled else tasks


async def _checked(prepared: Sequence[_Prepared], settled: list[Judged], services: Services) -> Sequence[_Prepared]:
    """Those that may be sent; what the others came to is among the ``settled``."""
    if not prepared:
        return prepared
    first = prepared[0].assignment
    policy = await services.policies.find(first.notification.tenant_id)
    if not services.checks.concern(first.channel, policy):
        return prepared
    now = services.clock.now()
    candidates = [
        Candidate(one.assignment.notification, one.message, _situation(one.assignment, now, services))
        for one in prepared
    ]
    cleared: list[_Prepared] = []
    for one, decision in zip(prepared, await services.checks.decide(candidates, policy), strict=True):
        if isinstance(decision, ProviderError):
            settled.append(_judged(one.assignment, _verdict(one.assignment, decision, now, services)))
        else:
            cleared.append(replace(one, charge=decision))
    return cleared


async def _known(settled: Sequence[Judged]) -> Sequence[Judged]:
    """What needs no provider call is told as what does."""
    return settled


def attempts_in_a_call(provider: Provider) -> int:
    """How many attempts one call of ``provider`` carries at most."""
    return provider.group_limit if _carries_groups(provider) else 1


def _carries_groups(provider: Provider) -> TypeGuard[GroupProvider]:
    # A look at the one method: isinstance() with a protocol takes 40 µs, as long as rendering a mail.
    return hasattr(provider, "send_group")


def _groups(prepared: Sequence[_Prepared]) -> Sequence[Sequence[_Prepared]]:
    """What goes together. A delivery that was refused for another's sake before goes alone."""
    if len(prepared) <= 1 or not _carries_groups(provider := prepared[0].assignment.provider):
        return [[one] for one in prepared]
    alone: list[_Prepared] = []
    sociable: list[_Prepared] = []
    for one in prepared:
        (alone if was_untried(one.assignment.delivery.attempts) else sociable).append(one)
    try:
        divided = provider.divide([one.message for one in sociable])
    except Exception:
        logger.exception("Dividing into groups failed")  # a fault of ours, which need not cost anyone the message
        return [[one] for one in prepared]
    return [*([one] for one in alone), *([sociable[index] for index in group] for group in divided)]


async def _call(group: Sequence[_Prepared], pace: Pace, services: Services) -> Sequence[Judged]:
    answers: Sequence[_Answer]
    try:
        answers = await _answers(group, pace, services)
    except ProviderError as error:
        answers = [error] * len(group)
    except Exception:
        # A fault of ours: whether bytes left is unknown, so it is treated as what it may be.
        tracking_id = group[0].assignment.notification.tracking_id
        logger.exception("Attempt failed unexpectedly", extra={"tracking_id": tracking_id, "attempts": len(group)})
        answers = [InDoubt("internal_error")] * len(group)
    for one, answer in zip(group, answers, strict=True):
        services.checks.settle(one.charge, answer)
    now = services.clock.now()
    return [
        _judged(one.assignment, _verdict(one.assignment, answer, now, services))
        for one, answer in zip(group, answers, strict=True)
    ]


async def _answers(group: Sequence[_Prepared], pace: Pace, services: Services) -> Sequence[_Answer]:
    """What came of each, in order. Whether it may be sent is asked last: a turn can be seconds away."""
    first = group[0]
    if len(first.message.address.targets) > 1:
        earlier = first.assignment.delivery.attempts[:-1]
        checked = _CheckedTurns(pace, first.assignment, services)
        return [await send_to_targets(first.message, first.assignment.provider, checked, earlier)]
    await pace.turn()
    if services.consents.keeps_nothing(first.assignment.notification.tenant_id):
        return await _send(group)
    refused = {index: error for index, one in enumerate(group) if (error := await _refusal(one, services))}
    allowed = [one for index, one in enumerate(group) if index not in refused]
    answered = iter(await _send(allowed) if allowed else ())
    return [refused[index] if index in refused else next(answered) for index in range(len(group))]


async def _send(group: Sequence[_Prepared]) -> Sequence[_Answer]:
    provider = group[0].assignment.provider
    if len(group) == 1 or not _carries_groups(provider):
        return [await provider.send(one.message) for one in group]
    answers = await provider.send_group([one.message for one in group])
    if len(answers) != len(group):
        raise ValueError(f"{provider.name} answered {len(answers)} times for {len(group)} attempts")
    return answers


class _CheckedTurns:
    """The turns of one delivery, each with the question whether it may still be sent."""

    def __init__(self, pace: Pace, assignment: Assignment, services: Services) -> None:
        self._pace = pace
        self._assignment = assignment
        self._services = services

    async def turn(self) -> None:
        """Waits until one call may start. Raises Withheld, PutOff."""
        await self._pace.turn()
        await check_before_send(self._assignment.notification, self._assignment.channel, self._services)


async def _refusal(one: _Prepared, services: Services) -> ProviderError | None:
    try:
        await check_before_send(one.assignment.notification, one.assignment.channel, services)
    except ProviderError as error:
        return error
    return None


def _verdict(assignment: Assignment, answer: _Answer, now: datetime, services: Services) -> Verdict:
    situation = _situation(assignment, now, services)
    if isinstance(answer, ProviderError):
        return verdict.failed(situation, answer)
    if isinstance(answer, Accepted):
        return verdict.accepted(situation, answer.provider_message_id, delivered=answer.delivered)
    return judge(situation, len(assignment.delivery.address.targets), answer)


def _judged(assignment: Assignment, result: Verdict) -> Judged:
    # What went well is in the store and in the metrics; a line for each would cost more than the delivery.
    level = logging.DEBUG if result.status in _WENT_WELL else logging.INFO
    if logger.isEnabledFor(level):
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
    return assignment.notification, result


async def _prepare(assignment: Assignment, services: Services) -> OutboundMessage | Verdict:
    """What the provider is to be handed, or the verdict where it need not be asked."""
    notification, delivery = assignment.notification, assignment.delivery
    attempt = delivery.attempts[-1]
    if notification.expires_at and services.clock.now() >= notification.expires_at:
        return Verdict(DeliveryStatus.EXPIRED, attempt)
    unsubscribe_url = services.links.url_for(notification, delivery)
    try:
        content = await _content(notification, delivery, unsubscribe_url, services)
    except ProviderError as error:
        return verdict.failed(_situation(assignment, services.clock.now(), services), error)
    except Exception:
        # A fault of ours, but nothing has left.
        logger.exception("Preparing failed unexpectedly", extra={"tracking_id": notification.tracking_id})
        return verdict.failed(_situation(assignment, services.clock.now(), services), Transient("internal_error"))
    if notification.is_test:
        asked = replace(_situation(assignment, services.clock.now(), services), provider=SIMULATED)
        return verdict.accepted(asked, None, delivered=True)
    return OutboundMessage(
        attempt_id=attempt.id,
        channel=delivery.channel,
        address=delivery.address,
        content=content,
        category=notification.category.value,
        lane=notification.lane,
        expires_at=notification.expires_at,
        unsubscribe_url=unsubscribe_url,
    )


def _situation(assignment: Assignment, now: datetime, services: Services) -> Situation:
    attempts = assignment.delivery.counted_attempts
    return Situation(
        attempt=attempts[-1],
        earlier=attempts[:-1],
        max_attempts=CHANNELS[assignment.channel].max_attempts,
        provider=assignment.provider.name,
        now=now,
        retry_patience=services.patience.retry,
        in_doubt_patience=services.patience.in_doubt,
        order=assignment.order,
        expires_at=assignment.notification.expires_at,
    )


async def _content(
    notification: Notification, delivery: Delivery, unsubscribe_url: str | None, services: Services
) -> Content:
    """What is to be said. Raises Rejected when template and data don't fit, Transient when the template is away."""
    if delivery.content is not None:
        return delivery.content
    ref = notification.template
    template = await services.templates.find(notification.tenant_id, ref.id, ref.version) if ref else None
    if ref is None or template is None:
        raise Transient("template_not_found")
    channel = CHANNELS[delivery.channel]
    data = {"unsubscribe_url": unsubscribe_url, **notification.data} if unsubscribe_url else notification.data
    try:
        parts = services.renderer.render(template, ref.locale, channel.parts, data)
    except TemplateUnusable as error:
        raise Rejected("template_unusable") from error
    content = channel.compose(parts, ref.id, notification.data)
    if channel.refuses(content):
        raise Rejected("content_refused")
    return content
