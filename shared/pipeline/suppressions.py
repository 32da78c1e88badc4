"""Addresses that told us, through a provider, that they must not be sent to: the register learns of them here.

Takes receipts (bounced for good, complained, unsubscribed) and refusals of the same kind at the moment of sending;
gives entries in the register, which every process heeds from the next second on (consents.py).
"""

from collections.abc import Iterable, Mapping, Sequence

from shared.domain.address import Address
from shared.domain.errors import NotFound
from shared.domain.identifiers import AttemptRef, TenantId
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.suppressed_address import mark_of
from shared.domain.suppression import Suppression
from shared.pipeline.owners import with_tenants
from shared.pipeline.services import Services

_BY_KIND = {
    ReceiptKind.COMPLAINED: Suppression.ADDRESS_COMPLAINED,
    ReceiptKind.UNSUBSCRIBED: Suppression.ADDRESS_UNSUBSCRIBED,
}
# Reasons of receipts and refusals, as all providers' tables name them.
BY_REASON: Mapping[str, Suppression] = {
    "hard_bounce": Suppression.ADDRESS_BOUNCED,
    "suppressed_bounced": Suppression.ADDRESS_BOUNCED,
    "unsubscribed": Suppression.ADDRESS_UNSUBSCRIBED,
    "suppressed_unsubscribed": Suppression.ADDRESS_UNSUBSCRIBED,
    "suppressed_complained": Suppression.ADDRESS_COMPLAINED,
}


async def heed_receipts(receipts: Sequence[Receipt], services: Services) -> int:
    """How many addresses were suppressed for what the receipts say. Raises StoreUnavailable: they should come again."""
    wanted = [
        (reference, why)
        for receipt in receipts
        if (why := _why(receipt)) and (reference := AttemptRef.parse(receipt.attempt_id))
    ]
    if not wanted:
        return 0
    owned = await with_tenants([reference for reference, _ in wanted], services.owners)
    count = 0
    for reference, why in wanted:
        found = owned.get(reference)
        address = await _address_of(found, services) if found else None
        if found and address is not None:
            count += await suppress(found.tenant, found.channel, address, why, services)
    return count


def _why(receipt: Receipt) -> Suppression | None:
    return _BY_KIND.get(receipt.kind) or BY_REASON.get(receipt.reason or "")


async def _address_of(reference: AttemptRef, services: Services) -> Address | None:
    try:
        notification = await services.notifications.read(reference.tenant, reference.tracking_id)
    except NotFound:
        return None  # older than we keep notifications, or never ours
    delivery = notification.deliveries.get(reference.channel)
    return delivery.address if delivery else None


async def suppress(tenant: TenantId, channel: str, address: Address, why: Suppression, services: Services) -> bool:
    """Whether the address is of a kind that can be suppressed, and now is. Raises StoreUnavailable."""
    mark = mark_of(services.bucket_secret, tenant, channel, address)
    if mark is None:
        return False
    await services.preferences.suppress(tenant, mark, why.value, services.clock.now())
    await services.consents.tell(tenant, mark=mark)
    return True


async def heed_refusals(refusals: Iterable[tuple[TenantId, str, Address, str | None]], services: Services) -> None:
    """Providers that refused an address for good because of its owner are believed. Raises StoreUnavailable."""
    for tenant, channel, address, reason in refusals:
        if why := BY_REASON.get(reason or ""):
            await suppress(tenant, channel, address, why, services)
