"""One signed POST to one consumer, and what it says about the consumer's endpoint."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from shared.contracts.callback_payload import CallbackItem, EndpointEventItem
from shared.domain.callback_endpoint import CallbackEndpoint
from shared.domain.errors import DestinationRefused, ProviderError
from shared.domain.retry_schedule import wait_asked_for
from shared.domain.webhook_signature import signed_headers
from shared.pipeline import endpoint_health
from shared.pipeline.services import Services

POST_TIMEOUT = timedelta(seconds=15)
_GONE = 410
_MS_A_SECOND = 1000


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of a post; ``problem`` is None when the consumer took it."""

    problem: str | None
    milliseconds: int
    http_status: int | None = None
    retry_after: timedelta | None = None
    reply: bytes = b""


async def post_callback(
    item: CallbackItem | EndpointEventItem, endpoint: CallbackEndpoint, services: Services, *, is_probe: bool = False
) -> Posted:
    """What came of one post; the endpoint's health knows of it."""
    posted = await post_signed(item, endpoint, services)
    if posted.problem is None:
        await endpoint_health.note_success(endpoint, services)
    elif posted.problem != endpoint_health.GONE:
        await endpoint_health.note_failure(endpoint, services, is_probe=is_probe)
    return posted


async def post_signed(item: CallbackItem | EndpointEventItem, endpoint: CallbackEndpoint, services: Services) -> Posted:
    """What came of one post, signed with every secret that is valid; it takes no longer than POST_TIMEOUT."""
    body = item.body()
    now = services.clock.now()
    headers = {
        "content-type": "application/json",
        **signed_headers(endpoint.signing_keys(now), item.webhook_id, now, body),
    }
    loop = asyncio.get_running_loop()
    started = loop.time()

    def taken() -> int:
        return round((loop.time() - started) * _MS_A_SECOND)

    try:
        answer = await services.callback_client.post(endpoint.url, headers=headers, body=body, timeout=POST_TIMEOUT)
    except DestinationRefused:
        return Posted("destination_refused", taken())
    except ProviderError as error:
        return Posted(error.reason, taken())
    if answer.status // 100 == 2:  # noqa: PLR2004 - 2xx; redirects are failures
        return Posted(None, taken(), answer.status, reply=answer.body)
    problem = endpoint_health.GONE if answer.status == _GONE else f"http_{answer.status}"
    return Posted(problem, taken(), answer.status, wait_asked_for(answer.headers, now), answer.body)
