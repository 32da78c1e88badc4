"""What customers write to a Twilio number: takes Twilio's incoming messages, gives replies, and answers them in TwiML.

Incoming messages: https://www.twilio.com/docs/messaging/guides/webhook-request
Opt-out keywords: https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out (both read 2026-11-25)

They come to the same address as status callbacks, signed alike; a number's (or messaging service's) setting for
incoming messages has to name it. Twilio itself refuses to send to whoever sent STOP (error 21610), and answers STOP,
START and HELP unless told not to; with advanced opt-out it says which of them it understood, and nothing need be read.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from shared.domain.reply import Keyword, Reply, number_of
from shared.ports import ReceiptRequest

KEYWORDS: Mapping[str, Keyword] = {"STOP": Keyword.STOP, "START": Keyword.START, "HELP": Keyword.HELP}


class TwilioReplies:
    """The half of a Twilio provider that listens."""

    scheme: ClassVar[str] = ""
    _now: Callable[[], datetime]

    def replies(self, request: ReceiptRequest) -> Sequence[Reply]:
        """The incoming message in a verified request; none when it is a status callback."""
        fields = form_fields(request.body)
        sender = number_of(fields.get("From", "").removeprefix(self.scheme))
        if "MessageStatus" in fields or "Body" not in fields or sender is None:
            return []
        to = fields.get("To", "").removeprefix(self.scheme)
        keyword = KEYWORDS.get(fields.get("OptOutType", ""))
        return [Reply(fields.get("MessageSid", ""), sender, to, fields["Body"], self._now(), keyword)]

    def reply_document(self, text: str | None) -> tuple[bytes, str]:
        """What Twilio is to hear, with its media type: ``text`` for the customer, or nothing."""
        message = f"<Message>{escape(text)}</Message>" if text else ""
        return f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>'.encode(), "text/xml"


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form. Raises ValueError when it is none."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
