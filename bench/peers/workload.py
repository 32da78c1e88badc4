"""The notification everybody delivers: the project's order confirmation in English with the bench's template data."""

from typing import Any

from bench.load_plan import Stream, notification

USERS = 1000  # recipients of the peers; seed 002 has a profile for each
DATA: dict[str, Any] = notification(0, Stream("peers"), "")["data"]
