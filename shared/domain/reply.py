"""What a customer writes back, and which words of it mean something: STOP, START and HELP in four languages.

The words of CTIA's and the providers' lists, and what people write for them in German, French and Spanish. A text is
the word as a whole, whatever its case, accents, spaces and punctuation; one that begins with an unmistakable word to
stop ("stop sending me these") is that as well, since whoever is unsure whether somebody said no has heard a no.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.address import PhoneNumber
from shared.domain.identifiers import TenantId

ANY_NUMBER = "*"
_NUMBER = re.compile(r"\+?([1-9][0-9]{6,14})")  # some providers leave the plus sign out
MAX_TEXT_READ = 400  # characters


class Keyword(StrEnum):
    """What a reply asks for."""

    STOP = "stop"
    START = "start"
    HELP = "help"


_STOP = """
STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT STOPP ABMELDEN ABBESTELLEN ENDE BEENDEN
ARRET ARRETER ARRETEZ DESABONNER DESINSCRIRE ALTO PARAR BAJA CANCELAR
"""
_START = "START UNSTOP YES SUBSCRIBE ANMELDEN STARTEN JA OUI REPRENDRE ABONNER SI INICIAR ALTA REANUDAR"
_HELP = "HELP INFO HILFE AIDE AYUDA"
_WORDS: Mapping[Keyword, str] = {Keyword.STOP: _STOP, Keyword.START: _START, Keyword.HELP: _HELP}
_MEANINGS = {word: keyword for keyword, words in _WORDS.items() for word in words.split()}
_CLEAR = "STOP STOPP STOPALL UNSUBSCRIBE OPTOUT ABMELDEN ABBESTELLEN DESABONNER DESINSCRIRE"
_UNMISTAKABLE = frozenset(_CLEAR.split())
_NO_LETTERS = re.compile(r"[^A-Z0-9]+")


def keyword_of(text: str) -> Keyword | None:
    """What the text asks for; None when it is anything else."""
    plain = unicodedata.normalize("NFKD", text[:MAX_TEXT_READ]).encode("ascii", "ignore").decode().upper()
    words = [word for word in _NO_LETTERS.split(plain) if word]
    found = _MEANINGS.get("".join(words))
    if found is None and words and words[0] in _UNMISTAKABLE:
        return Keyword.STOP
    return found


def number_of(text: str) -> PhoneNumber | None:
    """A customer's number; None for short codes and names, which no customer writes from."""
    found = _NUMBER.fullmatch(text.strip())
    return PhoneNumber(f"+{found[1]}") if found else None


@dataclass(frozen=True, slots=True)
class Reply:
    """One message from a customer to one of our numbers. ``keyword`` where the provider has read it already."""

    message_id: str
    sender: PhoneNumber = field(repr=False)
    to: str
    text: str = field(repr=False)
    at: datetime
    keyword: Keyword | None = None


@dataclass(frozen=True, slots=True)
class ReplyRules:
    """Whose customers write to which of our numbers, and what they hear when they ask for help.

    ``tenants`` are by number; ``*`` stands for every other one. A number that tenants share stops for all of them.
    """

    tenants: Mapping[str, tuple[TenantId, ...]] = field(default_factory=dict)
    help_text: str | None = None

    def tenants_of(self, number: str) -> tuple[TenantId, ...]:
        """Whose number it is; nobody's where nothing was said."""
        return self.tenants.get(number) or self.tenants.get(ANY_NUMBER, ())


def read_sender_tenants(text: str) -> dict[str, tuple[TenantId, ...]]:
    """``number=tenant|tenant`` pairs, separated by commas or spaces.

    Raises:
        ValueError: it is none of that.
    """
    found: dict[str, tuple[TenantId, ...]] = {}
    for pair in text.replace(",", " ").split():
        number, _, tenants = pair.partition("=")
        named = tuple(TenantId(each) for each in tenants.split("|") if each)
        if not number or not named:
            raise ValueError("not a list of number=tenant")
        found[number] = named
    return found
