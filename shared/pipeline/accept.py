"""From a consumer's request to a notification that may be committed, or to every reason why not.

Takes a validated request model, gives a Notification. The next stage (submit, submit_batch) commits it.
"""

from datetime import datetime

import orjson

from shared.contracts.http_api import MAX_DATA_BYTES, MAX_SCHEDULE_AHEAD, SubmitNotification
from shared.domain.errors import FieldError, InvalidSubmission
from shared.domain.identifiers import PartitionKey, TrackingId
from shared.domain.notification import Category, Notification, TemplateRef
from shared.domain.preferences import Preferences
from shared.pipeline.consent_check import with_consent
from shared.pipeline.plan_delivery import Asked, fallback_of, plan_deliveries
from shared.pipeline.services import Services
from shared.pipeline.team_recipients import refuse_strangers
from shared.ports import Caller, TemplateVersion


async def plan_with_customer(
    request: SubmitNotification,
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
    """The notification the request asks for, as far as its customer allows it.

    Raises:
        InvalidSubmission: with every problem found.
        StoreUnavailable: what the customer wants can't be known.
    """
    customer = await services.consents.profile(caller.tenant_id, request.recipient.customer_id)
    planned = plan_notification(
        request,
        await resolve_template(request, caller, services),
        caller=caller,
        tracking_id=tracking_id,
        partition=partition,
        now=now,
        services=services,
        batch_id=batch_id,
        traceparent=traceparent,
        awaited=awaited,
        customer=customer,
    )
    if caller.recipients is not None:
        refuse_strangers(planned, request, caller.recipients, services)
    return await with_consent(planned, customer, services)


async def resolve_template(request: SubmitNotification, caller: Caller, services: Services) -> TemplateVersion | None:
    """The template version the request gets; None for literal content. Raises InvalidSubmission."""
    if request.template is None:
        return None
    asked = request.template
    found = await services.templates.find(caller.tenant_id, asked.id, asked.version)
    if found is None:
        pointer = "/template/id" if asked.version is None else "/template/version"
        missing = f"there is no published template {asked.id} {asked.version or ''}".rstrip()
        raise InvalidSubmission([FieldError(pointer, missing)])
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
    customer: Preferences | None = None,
) -> Notification:
    """The notification the request asks for. Raises InvalidSubmission with every problem found."""
    errors = _schedule_errors(request, now) + _data_errors(request, template)
    send_at = request.send_at if request.send_at and request.send_at > now else None
    locale = _locale(request, template, customer) if template else ""
    deliveries = plan_deliveries(Asked(request, template, locale, send_at or now, services, customer), errors)
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
        template=TemplateRef(template.id, template.version, locale) if template else None,
        data=request.data,
        reference=request.reference,
        correlation_id=request.correlation_id,
        traceparent=traceparent,
        batch_id=batch_id,
        send_at=send_at,
        expires_at=request.expires_at,
        metadata=request.metadata,
        awaited=awaited,
        is_test=caller.is_test,
        fallback=fallback_of(request, deliveries),
    )


def _locale(request: SubmitNotification, template: TemplateVersion, customer: Preferences | None) -> str:
    """The locale asked for, or the customer's, or the nearest the template has: de-AT → de → the template's default."""
    wanted = (request.template.locale if request.template else None) or (customer.locale if customer else None)
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
