"""Seed 002, email worker: consumes email.queue, posts to SendGrid with httpx, keeps the status row in PostgreSQL.

Renders with jinja2 where the message carries a template instead of rendered content, and asks for its sources once.
A message is acknowledged after its row is written; one that fails goes to the dead-letter queue. The row is written
once, by the worker: the cheapest reading of the seed, whose gateway has no database.
"""

import asyncio
import signal
from typing import Any

import aio_pika
import asyncpg
import httpx
import orjson
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from mail_template import MailRenderer, sendgrid_mail
from seed002 import config
from seed002.queues import declare

_UPSERT = """
    INSERT INTO notification_status (notification_id, user_id, status) VALUES ($1, $2, 'sent')
    ON CONFLICT (notification_id) DO UPDATE SET status = 'sent', updated_at = now()
"""
_HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json"}


class EmailWorker:
    """Delivers one message at a time per prefetch slot."""

    def __init__(self, client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
        self._client = client
        self._pool = pool
        self._renderer = MailRenderer()
        self._sources: dict[str, dict[str, str]] = {}

    async def deliver(self, incoming: AbstractIncomingMessage) -> None:
        async with incoming.process(requeue=False):
            message = orjson.loads(incoming.body)
            content = message.get("rendered_content") or await self._render(message)
            mail = sendgrid_mail(message["notification_id"], message["delivery_targets"]["email"], content)
            answer = await self._client.post("/v3/mail/send", content=orjson.dumps(mail))
            answer.raise_for_status()
            await self._pool.execute(_UPSERT, message["notification_id"], message["user_id"])

    async def _render(self, message: dict[str, Any]) -> dict[str, str]:
        key, digest = message["template"]
        if digest not in self._sources:
            url = f"{config.TEMPLATE_SERVICE_URL}/v1/templates/{key}"
            answer = await self._client.get(url, headers={"X-Internal-Secret": config.INTERNAL_API_SECRET})
            answer.raise_for_status()
            self._sources[digest] = orjson.loads(answer.content)
        return self._renderer.render(self._sources[digest], message["message_data"])


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connection = await aio_pika.connect_robust(config.RABBITMQ_URL)
    async with (
        connection,
        httpx.AsyncClient(base_url=config.SENDGRID_BASE_URL, headers=_HEADERS, timeout=20) as client,
        asyncpg.create_pool(config.DATABASE_URL, min_size=2, max_size=10) as pool,
    ):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=config.PREFETCH_COUNT)
        _, queue = await declare(channel)
        await queue.consume(EmailWorker(client, pool).deliver)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(main())
