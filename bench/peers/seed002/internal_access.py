"""Service-to-service authentication: the seed's X-Internal-Secret header, as a FastAPI dependency."""

import hmac
from typing import Annotated

from fastapi import Header, HTTPException
from seed002.config import INTERNAL_API_SECRET


async def require_internal_secret(x_internal_secret: Annotated[str, Header()] = "") -> None:
    """Raises: HTTPException: 401 for anyone but the gateway."""
    if not hmac.compare_digest(x_internal_secret, INTERNAL_API_SECRET):
        raise HTTPException(401, "internal secret required")
