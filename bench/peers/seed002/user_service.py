"""Seed 002, user service: GET /v1/users/{user_id}, PostgreSQL behind a Redis cache of one hour (cache-aside)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
import redis.asyncio as redis
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from seed002.config import CACHE_TTL_SECONDS, DATABASE_URL, REDIS_URL
from seed002.internal_access import require_internal_secret

_SELECT = "SELECT user_id, email_address, phone_number, preferred_language, preferences FROM users WHERE user_id = $1"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(DATABASE_URL, min_size=2, max_size=10) as pool, redis.from_url(REDIS_URL) as cache:
        app.state.pool, app.state.cache = pool, cache
        yield


app = FastAPI(lifespan=_lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/v1/users/{user_id}", dependencies=[Depends(require_internal_secret)])
async def read_user(user_id: str, request: Request) -> Response:
    """The cached profile goes out as it is stored, without being parsed again."""
    cache: redis.Redis = request.app.state.cache
    profile = await cache.get(f"user:{user_id}")
    if profile is None:
        row = await request.app.state.pool.fetchrow(_SELECT, user_id)
        if row is None:
            raise HTTPException(404, "no such user")
        profile = orjson.dumps({**dict(row), "preferences": orjson.loads(row["preferences"])})
        await cache.setex(f"user:{user_id}", CACHE_TTL_SECONDS, profile)
    return Response(profile, media_type="application/json")
