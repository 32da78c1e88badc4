"""Send one attempt to several targets: a provider call for each, and what each came to.

Takes a message whose address has several targets, gives an answer for each that the attempt is for. A provider that
reaches several targets in one call says so by ``split``. Rules are in shared/domain/targets.py.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from shared.domain.capabilities import capabilities_of
from shared.domain.errors import InDoubt, ProviderError, Rejected
from shared.domain.notification import Attempt
from shared.domain.targets import TargetAnswer, open_targets, target_id
from shared.ports import Accepted, OutboundMessage, Provider

logger = logging.getLogger(__name__)


class Turns(Protocol):
    """Says when a call may be made, and whether."""

    async def turn(self) -> None:
        """Waits until one call may start. Raises a ProviderError when there must be none."""
        ...


@runtime_checkable
class SplitsMessages(Protocol):
    """A provider that may reach several targets of one message in one call."""

    def split(self, message: OutboundMessage) -> Sequence[OutboundMessage]:
        """The message as its calls: each with a part of the address, every target in exactly one of them."""
        ...


async def send_to_targets(
    message: OutboundMessage, provider: Provider, turns: Turns, earlier: Sequence[Attempt]
) -> Sequence[TargetAnswer]:
    """What the provider said about each target that the attempt is for. Each call takes a turn of its own."""
    numbers = {target: number for number, target in enumerate(message.address.targets)}
    wanted = open_targets(len(numbers), earlier)
    calls = _calls(replace(message, address=message.address.narrowed(wanted)), provider)
    answers = await asyncio.gather(
        *(_call(call, [numbers[target] for target in call.address.targets], provider, turns) for call in calls)
    )
    return [answer for group in answers for answer in group]


def _calls(message: OutboundMessage, provider: Provider) -> Sequence[OutboundMessage]:
    if isinstance(provider, SplitsMessages):
        return provider.split(message)
    return [replace(message, address=target) for target in message.address.targets]


async def _call(
    message: OutboundMessage, numbers: Sequence[int], provider: Provider, turns: Turns
) -> Sequence[TargetAnswer]:
    try:
        taken = await _send(replace(message, attempt_id=target_id(message.attempt_id, numbers[0])), provider, turns)
    except ProviderError as error:
        return [TargetAnswer(number, error) for number in numbers]
    except Exception:
        # A fault of ours: whether bytes left is unknown, so it is treated as what it may be.
        logger.exception("Call for a target failed unexpectedly", extra={"attempt_id": message.attempt_id})
        return [TargetAnswer(number, InDoubt("internal_error")) for number in numbers]
    return [
        TargetAnswer(number, provider_message_id=taken.provider_message_id, delivered=taken.delivered)
        for number in numbers
    ]


async def _send(message: OutboundMessage, provider: Provider, turns: Turns) -> Accepted:
    if reason := capabilities_of(provider).refuses(message.address, message.content):
        raise Rejected(reason, elsewhere=True)
    await turns.turn()
    return await provider.send(message)
