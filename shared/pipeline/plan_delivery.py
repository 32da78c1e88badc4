"""One channel's part of a request as a delivery that may be committed, or why not.

Takes what all channels of the request share and one channel; gives a Delivery. accept.py puts them together.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn

from shared.channels import CHANNELS
from shared.contracts.http_api import SubmitNotification
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content
from shared.domain.errors import DestinationRefused, FieldError, InvalidSubmission
from shared.domain.fallback import LOOK_AGAIN
from shared.domain.notification import Delivery, Fallback
from shared.domain.preferences import Preferences
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import Services
from shared.ports import TemplateVersion


@dataclass(frozen=True, slots=True)
class Asked:
    """What all channels of one request share. ``locale`` is one that the template has."""

    request: SubmitNotification
    template: TemplateVersion | None
    locale: str
    starts_at: datetime
    services: Services
    customer: Preferences | None = None

    @property
    def recipient(self) -> Recipient:
        """Whom the request is for, with what it leaves open taken from the customer's profile."""
        written = self.request.recipient.to_domain()
        return self.customer.completed(written) if self.customer else written


def plan_deliveries(asked: Asked, errors: list[FieldError]) -> Mapping[str, Delivery]:
    """The deliveries of all channels asked for, by channel; what is wrong with one is added to ``errors``."""
    routing = asked.request.routing
    if routing and routing.order is None:
        return _in_turn(_as_the_customer_likes(asked, errors), asked)
    deliveries: dict[str, Delivery] = {}
    seen: set[str] = set()
    for pointer, name in asked.request.wanted_channels():
        if name in seen:
            errors.append(FieldError(pointer, f"names {name} again"))
            continue
        seen.add(name)
        try:
            deliveries[name] = _delivery(CHANNELS[name], pointer, asked)
        except InvalidSubmission as problem:
            errors.extend(problem.errors)
    return deliveries if routing is None else _in_turn(deliveries, asked)


def _as_the_customer_likes(asked: Asked, errors: list[FieldError]) -> Mapping[str, Delivery]:
    """The channels of the customer's order that this notification can go out on; no order has to fit every template."""
    order = [name for name in asked.customer.fallback_order if name in CHANNELS] if asked.customer else []
    deliveries: dict[str, Delivery] = {}
    for name in order:
        with suppress(InvalidSubmission):
            deliveries[name] = _delivery(CHANNELS[name], "/routing/order", asked)
    if not deliveries:
        known = "none of the customer's channels can be used" if order else "is required: the customer has none"
        errors.append(FieldError("/routing/order", known))
    return deliveries


def fallback_of(request: SubmitNotification, deliveries: Iterable[str]) -> Fallback | None:
    """How the channels of the request follow each other; None when each is used."""
    return Fallback(tuple(deliveries), request.routing.deadline) if request.routing else None


def _in_turn(deliveries: Mapping[str, Delivery], asked: Asked) -> Mapping[str, Delivery]:
    """The first as it is, the others on standby; the second takes over at the deadline, if there is one."""
    deadline = asked.request.routing.deadline if asked.request.routing else None
    return {
        name: delivery
        if place == 0
        else replace(
            delivery,
            status=DeliveryStatus.STANDBY,
            due_at=None,
            wake_at=asked.starts_at + place * (deadline or LOOK_AGAIN),
            deadline_at=asked.starts_at + deadline if deadline and place == 1 else None,
        )
        for place, (name, delivery) in enumerate(deliveries.items())
    }


def _delivery(channel: Channel, pointer: str, asked: Asked) -> Delivery:
    request, services = asked.request, asked.services
    if channel.name not in services.providers:
        _refuse(FieldError(pointer, f"channel {channel.name} is not enabled"))
    try:
        address = channel.address(asked.recipient)
        if address.destination is not None:
            services.check_destination(address.destination)
    except AddressProblem as problem:
        _refuse(FieldError(problem.pointer, problem.detail))
    except DestinationRefused as problem:
        _refuse(FieldError(channel.pointer, str(problem)))
    return Delivery(
        channel=channel.name,
        status=DeliveryStatus.QUEUED if asked.starts_at <= services.clock.now() else DeliveryStatus.SCHEDULED,
        address=address,
        content=_content(channel, pointer, asked),
        wake_at=asked.starts_at + services.patience.publish,
        due_at=request.send_at,
    )


def _content(channel: Channel, pointer: str, asked: Asked) -> Content | None:
    template, literal = asked.template, asked.request.content
    if template is not None:
        parts = template.parts[asked.locale]
        if any(part not in parts for part in channel.required_parts):
            _refuse(FieldError(pointer, f"template {template.id} has no {channel.name} part"))
        return None
    content = literal.for_channel(channel.name) if literal else None
    if content is None:
        _refuse(FieldError(f"/content/{channel.name}", f"is required for channel {channel.name}"))
    if reason := channel.refuses(content):
        _refuse(FieldError(f"/content/{channel.name}", reason))
    return content


def _refuse(error: FieldError) -> NoReturn:
    raise InvalidSubmission([error])
