"""What a provider can carry: a table at the top of each provider's file, read by routing before it chooses.

Everything has a default that means "no limit that we know of", so a provider without a table can carry anything of its
channel. The vendor enforces its own limits; what stands here spares a call that is sure to fail and lets another
provider have the message instead.
"""

from dataclasses import dataclass

from shared.domain.address import Address, Devices, PhoneNumber, Platform
from shared.domain.content import Content, EmailContent, SmsContent


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One provider's table.

    Attributes:
        max_message_bytes: subject, text and HTML of an email together, in UTF-8.
        max_text_characters: an SMS text, in Unicode characters.
        html: whether an email may have an HTML part only.
        number_prefixes: E.164 prefixes (``+49``) that it reaches; None for all.
        platforms: the platforms whose devices it reaches; None for all. Of several devices, one is enough.
        one_far_side: whether all its calls meet the same vendor, so that what fails for some tells about all.
    """

    max_message_bytes: int | None = None
    max_text_characters: int | None = None
    html: bool = True
    number_prefixes: tuple[str, ...] | None = None
    platforms: tuple[Platform, ...] | None = None
    one_far_side: bool = True

    def refuses(self, address: Address, content: Content | None) -> str | None:
        """Why the provider can't carry ``content`` to ``address`` (a stable reason); None when it can.

        Before it is rendered, the content is None and only the address counts.
        """
        if isinstance(address, PhoneNumber) and not self._reaches(address):
            return "country_not_enabled"
        if isinstance(address, Devices) and not self._reaches_any(address):
            return "platform_not_supported"
        if isinstance(content, SmsContent):
            return "content_too_large" if _exceeds(len(content.text), self.max_text_characters) else None
        if isinstance(content, EmailContent):
            return self._refuses_email(content)
        return None

    def _reaches(self, number: PhoneNumber) -> bool:
        return self.number_prefixes is None or number.e164.startswith(self.number_prefixes)

    def _reaches_any(self, devices: Devices) -> bool:
        return self.platforms is None or any(token.platform in self.platforms for token in devices.tokens)

    def _refuses_email(self, content: EmailContent) -> str | None:
        if not self.html and not content.text:
            return "content_not_supported"
        if self.max_message_bytes is not None:
            parts = (content.subject, content.text or "", content.html or "")
            # Encoded only near the limit: a character is at most four bytes.
            if sum(map(len, parts)) * 4 > self.max_message_bytes and _exceeds(
                sum(len(part.encode()) for part in parts), self.max_message_bytes
            ):
                return "content_too_large"
        return None


ANYTHING = Capabilities()


def capabilities_of(provider: object) -> Capabilities:
    """The provider's table; without one, it can carry anything."""
    table = getattr(provider, "capabilities", None)
    return table if isinstance(table, Capabilities) else ANYTHING


def _exceeds(size: int, limit: int | None) -> bool:
    return limit is not None and size > limit
