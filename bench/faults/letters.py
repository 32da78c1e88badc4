"""The dead letters, as an operator sees them over the API."""

from typing import Any

from bench.faults.consumer import Consumer


async def dead_letters(consumer: Consumer, query: str = "state=all") -> list[dict[str, Any]]:
    """All of them, of all tenants, newest first; [] while the service does not answer."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        reply = await consumer.call("GET", f"/dead-letters?{query}{cursor}")
        if reply.status != 200:
            return []
        found += reply.body["letters"]
        if "next" not in reply.body:
            return found
        cursor = f"&cursor={reply.body['next']}"
