"""Run in a copy of the sources that has the pigeon: accepts and delivers two notes, and tells what it saw as JSON."""

import asyncio
import json
import sys

from functions import deliver as triggers
from shared.adapters.http_client import AiohttpClient
from shared.channels import CHANNELS
from shared.contracts.openapi import openapi_document
from shared.pipeline.deliver import deliver
from shared.pipeline.notifications import read_status
from shared.providers import configured_providers
from tests.fakes.accepted_chunks import accept
from tests.fakes.world import CALLER, World


async def _deliver() -> dict[str, object]:
    world = World()
    http = AiohttpClient()
    [post] = configured_providers({"PIGEONPOST_KEEPER": "Julius"}, http, http)
    world.with_(providers={"pigeon": (post,)})
    loft = {"homeLoft": {"country": "BE", "loftNumber": 3}}
    content = {"pigeon": {"words": ["meet", "me"]}}
    literal = await accept(world, recipient=loft, channels=["pigeon"], content=content)
    data = {"customerName": "Ada", "resetUrl": "https://a.example/r", "expiresInMinutes": 9}
    templated = await accept(
        world,
        recipient=loft,
        channels=["pigeon"],
        content=None,
        template={"id": "password-reset", "version": "1.0.0"},
        data=data,
    )
    await deliver(literal, world.services)
    await deliver(templated, world.services)
    status = await read_status(literal.items[0].tracking_id, CALLER, world.services)
    return {
        "status": status.deliveries[0].status,
        "messageId": status.deliveries[0].provider_message_id,
        "flown": [[attempt, address.stored(), content.stored()] for attempt, address, content in post.flown],
    }


seen = asyncio.run(_deliver())
schemas = openapi_document()["components"]["schemas"]
seen["channels"] = list(CHANNELS)
seen["inTheContract"] = "homeLoft" in schemas["RecipientModel"]["properties"] and "NoteModel" in schemas
seen["functions"] = sorted(
    name
    for function in triggers.blueprint._function_builders
    if (name := function._function.get_function_name()).startswith("deliver_pigeon")
)
json.dump(seen, sys.stdout)
