"""From a consumer's request to a notification that may be committed, or to every reason why not.

Takes a validated request model, gives a Notification. The next stage (submit, submit_batch) commits it.
"""

from datetime import datetime
from typing import NoReturn

import orjson

from shared.channels import CHANNELS
from shared.contracts.http_api import MAX_DATA_BYTES, MAX_SCHEDULE_AHEAD, SubmitNotification
from shared.domain.channel import AddressProblem, Channel
from shared.domain.content import Content
from shared.domain.errors import DestinationRefused, FieldError, InvalidSubmission
from shared.domain.identifiers import PartitionKey, TrackingId
from shared.domain.notification import Category, Delivery, Notification, TemplateRef
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import Services
from shared.ports import Caller, TemplateVersion


async def resolve_template(request: SubmitNotification, caller: Caller, services: Services) -> TemplateVersion | None:
    """The template version the request gets; None for literal content. Raises InvalidSubmission."""
    if request.template is None:
        return None
    asked = request.template
    found = await services.templates.find(caller.tenant_id, asked.id, asked.version)
    if found is None:
        pointer = "/template/id" if asked.version is None else "/template/version"
        _refuse(FieldError(pointer, f"there is no published template {asked.id} {asked.version or ''}".rstrip()))
    return found


def plan_notification(
    request: SubmitNotification,
    template: TemplateVersion | None,
    *,
    caller: Caller,
    tracking_id: TrackingId,
    partition: PartitionKey,
    now: datetime,
    services: Services,
    batch_id: str | None = None,
    traceparent: str | None = None,
    awaited: bool = False,
) -> Notification:
    """The notification the request asks for. Raises InvalidSubmission with every problem found."""
    errors = _schedule_errors(request, now) + _data_errors(request, template)
    deliveries: dict[str, Delivery] = {}
    send_at = request.send_at if request.send_at and request.send_at > now else None
    for index, name in enumerate(request.channels):
        if name in request.channels[:index]:
            errors.append(FieldError(f"/channels/{index}", f"names {name} again"))
            continue
        try:
            deliveries[name] = _delivery(CHANNELS[name], index, request, template, services, send_at or now)
        except InvalidSubmission as problem:
            errors.extend(problem.errors)
    if errors:
        raise InvalidSubmission(errors)
    return Notification(
        tracking_id=tracking_id,
        tenant_id=caller.tenant_id,
        partition_key=partition,
        created_at=now,
        lane=request.priority,
        category=request.category or Category(template.category if template else Category.TRANSACTIONAL),
        deliveries=deliveries,
        customer_id=request.recipient.customer_id,
        template=TemplateRef(template.id, template.version, _locale(request, template)) if template else None,
        data=request.data,
        reference=request.reference,
        correlation_id=request.correlation_id,
        traceparent=traceparent,
        batch_id=batch_id,
        send_at=send_at,
        expires_at=request.expires_at,
        metadata=request.metadata,
        awaited=awaited,
    )


def _delivery(  # noqa: PLR0917 - one place, every fact
    channel: Channel,
    index: int,
    request: SubmitNotification,
    template: TemplateVersion | None,
    services: Services,
    starts_at: datetime,
) -> Delivery:
    if channel.name not in services.providers:
        _refuse(FieldError(f"/channels/{index}", f"channel {channel.name} is not enabled"))
    try:
        address = channel.address(request.recipient.to_domain())
        if address.destination is not None:
            services.check_destination(address.destination)
    except AddressProblem as problem:
        _refuse(FieldError(problem.pointer, problem.detail))
    except DestinationRefused as problem:
        _refuse(FieldError(channel.pointer, str(problem)))
    return Delivery(
        channel=channel.name,
        status=DeliveryStatus.QUEUED if starts_at <= services.clock.now() else DeliveryStatus.SCHEDULED,
        address=address,
        content=_content(channel, index, request, template),
        wake_at=starts_at + services.patience.publish,
        due_at=request.send_at,
    )


def _content(
    channel: Channel, index: int, request: SubmitNotification, template: TemplateVersion | None
) -> Content | None:
    if template is not None:
        parts = template.parts[_locale(request, template)]
        if any(part not in parts for part in channel.required_parts):
            _refuse(FieldError(f"/channels/{index}", f"template {template.id} has no {channel.name} part"))
        return None
    content = request.content.for_channel(channel.name) if request.content else None
    if content is None:
        _refuse(FieldError(f"/content/{channel.name}", f"is required for channel {channel.name}"))
    if reason := channel.refuses(content):
        _refuse(FieldError(f"/content/{channel.name}", reason))
    return content


def _locale(request: SubmitNotification, template: TemplateVersion) -> str:
    """The locale asked for, or the nearest the template has: de-AT → de → the template's default."""
    wanted = request.template.locale if request.template else None
    while wanted:
        if wanted in template.locales:
            return wanted
        wanted = wanted.rpartition("-")[0]
    return template.default_locale


def _data_errors(request: SubmitNotification, template: TemplateVersion | None) -> list[FieldError]:
    errors = []
    if template:
        errors = [
            FieldError(f"/data/{name}", f"is required by template {template.id} {template.version}")
            for name in template.required
            if request.data.get(name) is None
        ]
    if len(orjson.dumps(request.data)) > MAX_DATA_BYTES:
        errors.append(FieldError("/data", f"is larger than {MAX_DATA_BYTES} bytes"))
    return errors


def _schedule_errors(request: SubmitNotification, now: datetime) -> list[FieldError]:
    errors = []
    if request.send_at and request.send_at > now + MAX_SCHEDULE_AHEAD:
        errors.append(FieldError("/sendAt", f"is more than {MAX_SCHEDULE_AHEAD.days} days ahead"))
    if request.expires_at and request.expires_at <= max(now, request.send_at or now):
        errors.append(FieldError("/expiresAt", "is before the notification could be sent"))
    return errors


def _refuse(error: FieldError) -> NoReturn:
    raise InvalidSubmission([error])
