"""The seed's queue structure: exchange, durable email queue, dead-letter queue with 24 hours and 10,000 messages."""

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from seed002.config import EMAIL_QUEUE, EXCHANGE, FAILED_QUEUE

_DAY_MS = 24 * 3600 * 1000


async def declare(channel: AbstractChannel) -> tuple[AbstractExchange, AbstractQueue]:
    """(exchange to publish to, queue to consume from); declaring twice changes nothing."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.DIRECT, durable=True)
    await channel.declare_queue(
        FAILED_QUEUE, durable=True, arguments={"x-message-ttl": _DAY_MS, "x-max-length": 10_000}
    )
    dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": FAILED_QUEUE}
    queue = await channel.declare_queue(EMAIL_QUEUE, durable=True, arguments=dead_letters)
    await queue.bind(exchange, routing_key="email")
    return exchange, queue
