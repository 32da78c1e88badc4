"""The Celery pipeline's endpoint: validate, put one task into Redis, 202. No idempotency, no preferences, no caches."""

import uuid
from typing import Any

from celery_pipeline.tasks import deliver_email
from fastapi import FastAPI
from pydantic import BaseModel, Field


class NotificationRequest(BaseModel):
    """What a client asks for."""

    email: str = Field(min_length=3, max_length=320)
    template_key: str = Field(min_length=1, max_length=100)
    message_data: dict[str, Any]


class Accepted(BaseModel):
    """What it is told."""

    notification_id: str


app = FastAPI()


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/notifications", status_code=202)
def create_notification(body: NotificationRequest) -> Accepted:
    """A plain function: FastAPI runs it in its thread pool, because publishing to the broker blocks."""
    notification_id = str(uuid.uuid4())
    deliver_email.delay(notification_id, body.email, body.message_data)
    return Accepted(notification_id=notification_id)
