"""When a callback is tried again (Standard Webhooks, "Deliverability and reliability", ten tries over 75 hours)."""

from datetime import timedelta

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)


def pause_after(attempt: int) -> timedelta | None:
    """How long to wait after try number ``attempt`` (from 1) failed; None when it was the last."""
    return PAUSES[attempt - 1] if attempt <= len(PAUSES) else None
