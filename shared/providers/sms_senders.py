"""Who an SMS comes from: a pool of senders in one setting, and the choice of one that is always the same for a number.

A setting holds one sender or several, separated by spaces. A sender is a number in E.164 form, a short code, a name of
at most 11 letters and digits, or whatever else the vendor takes. A prefix in front reserves it for the numbers that
begin so: ``+15017250604 +49=Nordlicht +44=+447700900123``.

Of the senders for the longest prefix, those of the recipient's own country come first, as carriers want it; among
equals the number itself decides, so that a customer always sees the same sender.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from shared.domain.phone_country import country_of

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_SHORT_CODE_OR_NAME = re.compile(r"[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class SmsSenders:
    """The senders by the prefix that they are reserved for; an empty prefix stands for all numbers."""

    by_prefix: Mapping[str, Sequence[str]]

    @property
    def prefixes(self) -> tuple[str, ...] | None:
        """The prefixes of the only numbers that have a sender; None when all have one."""
        return None if "" in self.by_prefix else tuple(self.by_prefix)

    def sender_for(self, e164: str) -> str | None:
        """The sender for a recipient's number; None when no sender is meant for it."""
        prefix = max((each for each in self.by_prefix if e164.startswith(each)), key=len, default=None)
        if prefix is None:
            return None
        senders = self.by_prefix[prefix]
        country = country_of(e164)
        domestic = [sender for sender in senders if _NUMBER.fullmatch(sender) and country_of(sender) == country]
        candidates = domestic or senders
        return candidates[crc32(e164.encode()) % len(candidates)]


def senders_of(name: str, value: str, also: re.Pattern[str] | None = None) -> SmsSenders:
    """The senders in a setting.

    Args:
        name: the setting it stands in.
        value: what it holds.
        also: the form of senders that only this vendor knows.

    Raises:
        ValueError: one of them is none; names the setting.
    """
    by_prefix: dict[str, list[str]] = {}
    for entry in value.split():
        prefix, separator, sender = entry.rpartition("=")
        if separator and not _PREFIX.fullmatch(prefix):
            raise ValueError(f"{name}: a prefix is a plus sign and digits, such as +49")
        forms = (_NUMBER, _SHORT_CODE_OR_NAME, *([also] if also else []))
        if not any(form.fullmatch(sender) for form in forms):
            raise ValueError(f"{name}: a sender is a number such as +15017250604, a short code or a name")
        by_prefix.setdefault(prefix, []).append(sender)
    return SmsSenders(by_prefix)
