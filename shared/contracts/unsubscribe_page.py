"""The page behind a link to unsubscribe, for people: one button, no script, nothing loaded from elsewhere.

It says no address and no name, since whoever has the link may see it. The texts are in the languages of the table; what
a browser asks for decides, and English where it asks for none of them.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from html import escape

_STYLE = """
:root { color-scheme: light dark; }
body { font: 18px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 0 auto; padding: 2rem 1rem; }
button { font: inherit; padding: .7rem 1.4rem; border: 2px solid; border-radius: 6px; cursor: pointer; }
button:focus-visible { outline: 3px solid Highlight; outline-offset: 3px; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address of the page is the right to unsubscribe
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}


class LinkState(StrEnum):
    """How things stand when the page is shown."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED_AGAIN = "subscribed_again"


@dataclass(frozen=True, slots=True)
class _Words:
    title: str
    ask: str
    unsubscribe: str
    done: str
    subscribe: str
    again: str


_WORDS: Mapping[str, _Words] = {
    "en": _Words(
        "Unsubscribe",
        "Do you want no more marketing messages at this address? Messages about your orders and your account will "
        "still come.",
        "Unsubscribe",
        "You are unsubscribed. No more marketing messages are sent to this address.",
        "That was a mistake: subscribe again",
        "You are subscribed again.",
    ),
    "de": _Words(
        "Abmelden",
        "Möchten Sie an diese Adresse keine Werbung mehr? Nachrichten zu Bestellungen und Konto kommen weiterhin.",
        "Abmelden",
        "Sie sind abgemeldet. An diese Adresse wird keine Werbung mehr gesendet.",
        "Das war ein Versehen: wieder anmelden",
        "Sie sind wieder angemeldet.",
    ),
    "fr": _Words(
        "Se désabonner",
        "Ne plus recevoir de messages publicitaires à cette adresse ? Les messages sur vos commandes et votre compte "
        "restent envoyés.",
        "Se désabonner",
        "Vous êtes désabonné. Plus aucun message publicitaire n'est envoyé à cette adresse.",
        "C'était une erreur : se réabonner",
        "Vous êtes réabonné.",
    ),
    "es": _Words(
        "Darse de baja",
        "¿No quiere recibir más publicidad en esta dirección? Los mensajes sobre sus pedidos y su cuenta seguirán "
        "llegando.",
        "Darse de baja",
        "Se ha dado de baja. No se enviará más publicidad a esta dirección.",
        "Ha sido un error: volver a suscribirse",
        "Vuelve a estar suscrito.",
    ),
}
LANGUAGES = tuple(_WORDS)


def unsubscribe_page(state: LinkState, languages: str) -> str:
    """The page as HTML, in the best of ``languages``, an Accept-Language header (RFC 9110, 12.5.4)."""
    language = _best(languages)
    words = _WORDS[language]
    said = {
        LinkState.SUBSCRIBED: words.ask,
        LinkState.UNSUBSCRIBED: words.done,
        LinkState.SUBSCRIBED_AGAIN: words.again,
    }[state]
    offers_back = state is LinkState.UNSUBSCRIBED
    button = words.subscribe if offers_back else words.unsubscribe
    action = "subscribe" if offers_back else "unsubscribe"
    form = f'<form method="post"><button name="action" value="{action}">{escape(button)}</button></form>'
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(words.title)}</title><style>{_STYLE}</style>"
    )
    main = f'<main><h1>{escape(words.title)}</h1><p role="status">{escape(said)}</p>{form}</main>'
    return f'<!doctype html><html lang="{language}"><head>{head}</head><body>{main}</body></html>'


def _best(languages: str) -> str:
    wanted = sorted(map(_preference, languages[:500].split(",")), key=lambda each: -each[1])
    return next((name for name, weight in wanted if name in _WORDS and weight > 0), "en")


def _preference(one: str) -> tuple[str, float]:
    name, _, parameters = one.partition(";")
    _, _, weight = parameters.partition("q=")
    try:
        return name.strip().partition("-")[0].lower(), float(weight) if weight else 1.0
    except ValueError:
        return "", 0.0
