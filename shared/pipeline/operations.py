"""What operators do about quarantines and look at of the lanes; and what happens when the brakes say stop."""

import logging
from datetime import datetime, timedelta

from shared.channels import CHANNELS
from shared.contracts.operations_api import (
    LanesView,
    LaneView,
    OpenQuarantine,
    QuarantineParameters,
    QuarantinesView,
    QuarantineView,
)
from shared.contracts.request_body import read_body
from shared.domain.audit_chain import AuditFact
from shared.domain.errors import NotFound, StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.lane_pressure import TARGET_SECONDS
from shared.domain.notification import Lane
from shared.domain.quarantine import Quarantine
from shared.pipeline.quarantine_store import QuarantineStore
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)

LEFT_ALONE_AFTER_RELEASE = timedelta(hours=1)  # by the brakes: somebody has looked


async def list_quarantines(parameters: QuarantineParameters, services: Services) -> QuarantinesView:
    """The quarantines there are, newest first, with what each holds back. Raises StoreUnavailable."""
    found = await _store(services).list_all()
    wanted = [each for each in found if parameters.state is None or parameters.state == _state(each)]
    newest = sorted(wanted, key=lambda each: each.since, reverse=True)
    return QuarantinesView(quarantines=[QuarantineView.of(each) for each in newest])


async def open_quarantine(body: bytes, caller: Caller, services: Services) -> QuarantineView:
    """The quarantine that holds from now on, or held already. Raises InvalidSubmission, StoreUnavailable."""
    asked = read_body(OpenQuarantine, body)
    return QuarantineView.of(await _open(asked.to_domain(caller.application_id, services.clock.now()), services))


async def release_quarantine(quarantine_id: str, caller: Caller, services: Services) -> QuarantineView:
    """The quarantine, which holds nothing any more. Raises NotFound, StoreUnavailable."""
    known = {each.id: each for each in await _store(services).list_all()}
    if quarantine_id not in known:
        raise NotFound(quarantine_id)
    now = services.clock.now()
    await services.audit.append(_fact("quarantine.release", known[quarantine_id], caller.application_id, now))
    released = await _store(services).release(quarantine_id, caller.application_id, now)
    services.quarantines.forget()
    logger.warning("Quarantine released", extra=_about(released) | {"operator": caller.application_id})
    return QuarantineView.of(released)


async def brake(services: Services) -> None:
    """What the brakes say should be held is held. Never raises: what failed is said again with the next look."""
    now = services.clock.now()
    for wanted in await services.brakes.to_hold(now):
        try:
            await _open(wanted, services, unless_released_after=now - LEFT_ALONE_AFTER_RELEASE)
        except StoreUnavailable as error:
            logger.warning("Brakes could not hold", extra=_about(wanted) | {"cause": type(error).__name__})


async def read_lanes(services: Services) -> LanesView:
    """How late each lane is and which take nothing new, as this process knows. Never raises."""
    await services.lanes.board.look()
    return LanesView(
        lanes=[
            LaneView(
                channel=channel,
                lane=lane.value,
                late_seconds=round(services.lanes.board.lag((channel, lane)), 1),
                felt_late_seconds=round(services.lanes.board.lags_felt_in(channel)[lane], 1),
                target_seconds=TARGET_SECONDS[lane],
                closed=lane in services.lanes.admission.closed(channel),
            )
            for channel in CHANNELS
            if channel in services.providers
            for lane in Lane
        ]
    )


async def _open(wanted: Quarantine, services: Services, *, unless_released_after: datetime | None = None) -> Quarantine:
    opened = await _store(services).open(wanted, unless_released_after=unless_released_after)
    if opened == wanted:
        await services.audit.append(_fact("quarantine.open", opened, opened.opened_by, opened.since))
        services.quarantines.forget()
        logger.warning("Quarantine opened", extra=_about(opened) | dict(opened.evidence))
    return opened


def _store(services: Services) -> QuarantineStore:
    if services.quarantine_store is None:
        raise StoreUnavailable("quarantines are not kept anywhere")
    return services.quarantine_store


def _state(quarantine: Quarantine) -> str:
    return "active" if quarantine.is_active else "released"


def _about(quarantine: Quarantine) -> dict[str, object]:
    return {
        "quarantine": quarantine.id,
        "tenant_id": quarantine.subject.tenant_id,
        "template_id": quarantine.subject.template_id,
        "because": quarantine.because.value,
        "opened_by": quarantine.opened_by,
    }


def _fact(action: str, quarantine: Quarantine, actor: str, at: datetime) -> AuditFact:
    return AuditFact(
        event_id=f"{action}:{quarantine.id}:{quarantine.since.isoformat()}",
        tenant_id=TenantId(quarantine.subject.tenant_id),
        at=at,
        actor=actor,
        action=action,
        subject=quarantine.id,
        detail={"because": quarantine.because.value, "held": sum(quarantine.held.values())},
    )
