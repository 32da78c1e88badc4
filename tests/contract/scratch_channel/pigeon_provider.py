"""A pigeon post: what shared/providers/pigeonpost.py would be."""

from collections.abc import Mapping

from shared.channels.pigeon import Loft, Note

from shared.domain.errors import Rejected
from shared.ports import Accepted, HttpClient, OutboundMessage


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "PigeonPost | None":
    """The provider, or None without PIGEONPOST_KEEPER."""
    return PigeonPost() if settings.get("PIGEONPOST_KEEPER") else None


class PigeonPost:
    """Remembers what flew."""

    name = "pigeonpost"
    channel = "pigeon"

    def __init__(self) -> None:
        self.flown: list[tuple[str, Loft, Note]] = []

    async def send(self, message: OutboundMessage) -> Accepted:
        """One pigeon."""
        if not isinstance(message.address, Loft) or not isinstance(message.content, Note):
            raise Rejected("wrong_channel")
        self.flown.append((message.attempt_id, message.address, message.content))
        return Accepted("feather-7")
