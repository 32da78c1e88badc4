"""Seed 002, API gateway: validate, once per idempotency key, ask two services over HTTP, publish with confirms, 202.

One httpx client, one Redis pool and one confirming RabbitMQ channel for the process, as their documentation advises.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aio_pika
import httpx
import orjson
import pybreaker
import redis.asyncio as redis
from fastapi import FastAPI, Header, HTTPException, Request, Response
from pydantic import BaseModel, Field
from seed002 import config
from seed002.queues import declare

_FIRST_DELAY, _LONGEST_DELAY, _PUBLISH_ATTEMPTS = 0.1, 5.0, 5
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=50)
_USER_BREAKER = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=60, exclude=[HTTPException])
_TEMPLATE_BREAKER = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=60, exclude=[HTTPException])
_PENDING = b"pending"


class NotificationRequest(BaseModel):
    """What a client asks for."""

    user_id: str = Field(min_length=1, max_length=255)
    template_key: str = Field(min_length=1, max_length=100)
    message_data: dict[str, Any]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect_robust(config.RABBITMQ_URL)
    headers = {"X-Internal-Secret": config.INTERNAL_API_SECRET, "Content-Type": "application/json"}
    async with (
        connection,
        httpx.AsyncClient(limits=_LIMITS, timeout=5, headers=headers) as client,
        redis.from_url(config.REDIS_URL) as keys,
    ):
        channel = await connection.channel(publisher_confirms=True)
        app.state.exchange, _ = await declare(channel)
        app.state.client, app.state.keys = client, keys
        yield


app = FastAPI(lifespan=_lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/notifications")
async def create_notification(
    body: NotificationRequest,
    request: Request,
    x_idempotency_key: Annotated[str | None, Header()] = None,
    x_request_id: Annotated[str | None, Header()] = None,
) -> Response:
    """202, once per key; a repeat gets the first answer, a repeat while the first is at work 409."""
    keys: redis.Redis = request.app.state.keys
    request_id = x_request_id or str(uuid.uuid4())
    key = f"idempotency:{x_idempotency_key or uuid.uuid4()}"
    if not await keys.set(key, _PENDING, nx=True, ex=config.IDEMPOTENCY_TTL_SECONDS):
        return await _first_answer(keys, key)
    try:
        notification_id = await _accept(body, request.app.state, request_id)
    except BaseException:
        await keys.delete(key)
        raise
    answer = orjson.dumps(
        {"notification_id": notification_id, "request_id": request_id, "idempotency_key": x_idempotency_key}
    )
    await keys.set(key, answer, ex=config.IDEMPOTENCY_TTL_SECONDS)
    return Response(answer, 202, media_type="application/json")


async def _first_answer(keys: redis.Redis, key: str) -> Response:
    stored = await keys.get(key)
    if stored in (None, _PENDING):
        raise HTTPException(409, "the first request with this key is not finished")
    return Response(stored, 202, media_type="application/json")


async def _accept(body: NotificationRequest, state: Any, request_id: str) -> str:
    trace = {"X-Request-ID": request_id}
    user_url = f"{config.USER_SERVICE_URL}/v1/users/{body.user_id}"
    user = await _call(_USER_BREAKER, state.client, user_url, trace)
    if not user["preferences"].get("email"):
        raise HTTPException(422, "the user does not want email")
    content = await _content(body, state, trace)
    notification_id = str(uuid.uuid4())
    message = {
        "notification_id": notification_id,
        "user_id": body.user_id,
        "delivery_targets": {"email": user["email_address"], "phone": user["phone_number"]},
        "user_preferences": user["preferences"],
        **content,
        "metadata": {"request_id": request_id},
    }
    await _publish(state.exchange, notification_id, orjson.dumps(message))
    return notification_id


async def _content(body: NotificationRequest, state: Any, trace: dict[str, str]) -> dict[str, Any]:
    base = f"{config.TEMPLATE_SERVICE_URL}/v1/templates"
    if config.WORKER_RENDERS:
        found = await _call(_TEMPLATE_BREAKER, state.client, f"{base}/{body.template_key}/digest", trace)
        return {"template": [body.template_key, found["digest"]], "message_data": body.message_data}
    wanted = orjson.dumps({"template_key": body.template_key, "message_data": body.message_data})
    return {"rendered_content": await _call(_TEMPLATE_BREAKER, state.client, f"{base}/render", trace, wanted)}


async def _call(
    breaker: pybreaker.CircuitBreaker,
    client: httpx.AsyncClient,
    url: str,
    headers: dict[str, str],
    content: bytes = b"",
) -> dict[str, Any]:
    try:
        with breaker.calling():
            answer = await client.request("POST" if content else "GET", url, headers=headers, content=content)
            if answer.status_code == 404:  # the caller's mistake, no failure of the service
                raise HTTPException(404, answer.json()["detail"])
            answer.raise_for_status()
    except (httpx.HTTPError, pybreaker.CircuitBreakerError) as error:
        raise HTTPException(503, "a service is away", headers={"Retry-After": "60"}) from error
    return dict(orjson.loads(answer.content))


async def _publish(exchange: aio_pika.abc.AbstractExchange, notification_id: str, body: bytes) -> None:
    message = aio_pika.Message(
        body,
        message_id=notification_id,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    for attempt in range(_PUBLISH_ATTEMPTS):
        try:
            await exchange.publish(message, routing_key="email")
        except (aio_pika.exceptions.AMQPError, ConnectionError):
            delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2**attempt)
            await asyncio.sleep(delay * random.uniform(0.5, 1))
        else:
            return
    raise HTTPException(503, "the queue is away", headers={"Retry-After": "5"})
