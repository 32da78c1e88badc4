"""Seed 002, template service: PostgreSQL behind a Redis cache of one hour.

POST /v1/templates/render renders at accept, as the seed's data flow says ("Response: Rendered content"). Where the
worker renders instead, the gateway asks for a template's digest, and the worker for its sources, once.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import redis.asyncio as redis
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from mail_template import MailRenderer
from pydantic import BaseModel
from seed002.config import CACHE_TTL_SECONDS, DATABASE_URL, REDIS_URL
from seed002.internal_access import require_internal_secret

_SELECT = "SELECT subject, body, html_body FROM templates WHERE template_key = $1"


class RenderRequest(BaseModel):
    """What to render."""

    template_key: str
    message_data: dict[str, Any]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(DATABASE_URL, min_size=2, max_size=10) as pool, redis.from_url(REDIS_URL) as cache:
        app.state.pool, app.state.cache, app.state.renderer = pool, cache, MailRenderer()
        yield


app = FastAPI(lifespan=_lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/templates/render", dependencies=[Depends(require_internal_secret)])
async def render(body: RenderRequest, request: Request) -> Response:
    """Subject, text and HTML for the data given."""
    parts = orjson.loads(await _read_template(request, body.template_key))
    rendered = request.app.state.renderer.render(parts, body.message_data)
    return Response(orjson.dumps(rendered), media_type="application/json")


@app.get("/v1/templates/{key}", dependencies=[Depends(require_internal_secret)])
async def read_template(key: str, request: Request) -> Response:
    """Its sources."""
    return Response(await _read_template(request, key), media_type="application/json")


@app.get("/v1/templates/{key}/digest", dependencies=[Depends(require_internal_secret)])
async def read_digest(key: str, request: Request) -> Response:
    """What pins the sources as they are now."""
    digest = hashlib.sha256(await _read_template(request, key)).hexdigest()
    return Response(orjson.dumps({"digest": digest}), media_type="application/json")


async def _read_template(request: Request, key: str) -> bytes:
    cache: redis.Redis = request.app.state.cache
    stored = await cache.get(f"template:{key}")
    if stored is None:
        row = await request.app.state.pool.fetchrow(_SELECT, key)
        if row is None:
            raise HTTPException(404, "no such template")
        stored = orjson.dumps(dict(row))
        await cache.setex(f"template:{key}", CACHE_TTL_SECONDS, stored)
    return bytes(stored)
