"""A key of kind team sends to the recipients on its list only."""

from collections.abc import Iterator

from shared.contracts.http_api import SubmitNotification
from shared.domain.api_key import recipient_mark, texts_of
from shared.domain.errors import FieldError, InvalidSubmission
from shared.domain.notification import Delivery, Notification
from shared.pipeline.services import Services


def refuse_strangers(
    planned: Notification, request: SubmitNotification, allowed: frozenset[str], services: Services
) -> None:
    """Nothing when everybody who would be reached is on the list. Raises InvalidSubmission, with a pointer for each."""

    def strangers(delivery: Delivery) -> Iterator[str]:
        for text in texts_of(delivery.address):
            if recipient_mark(services.bucket_secret, planned.tenant_id, text) not in allowed:
                yield text

    errors = [
        FieldError(_pointer(stranger, request), f"is not on the list of this team key, for channel {channel}")
        for channel, delivery in planned.deliveries.items()
        for stranger in strangers(delivery)
    ]
    if errors:
        raise InvalidSubmission(errors)


def _pointer(stranger: str, request: SubmitNotification) -> str:
    """Where the request names it; the customer, whose profile has it, when it does not."""
    for name, value in request.recipient.model_dump(by_alias=True, exclude_none=True).items():
        if value == stranger:
            return f"/recipient/{name}"
        if isinstance(value, list):
            for index, part in enumerate(value):
                if stranger in part.values():
                    return f"/recipient/{name}/{index}"
    return "/recipient/customerId"
