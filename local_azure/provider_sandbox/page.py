"""Serves the inbox page's files and each message's HTML; nothing comes from elsewhere.

The page's policy allows its own script and style only. A message's HTML is shown in a sandboxed frame under a policy of
its own that allows no script, no network and no form.
"""

from __future__ import annotations

import re
from pathlib import Path

from local_azure.provider_sandbox.http_exchange import Reply, Request, problem
from local_azure.provider_sandbox.inbox import Inbox, merged

_FOLDER = Path(__file__).parent / "page_files"
_FILES = {
    "/": ("inbox.html", "text/html; charset=utf-8"),
    "/page/inbox.css": ("inbox.css", "text/css; charset=utf-8"),
    "/page/inbox.js": ("inbox.js", "text/javascript; charset=utf-8"),
    "/page/cards.js": ("cards.js", "text/javascript; charset=utf-8"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_MESSAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox"
)
_MESSAGE_HTML = re.compile(r"/messages/(?P<id>\d{1,12})/html")


class Page:
    """GET / and its files, GET /messages/{id}/html."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._contents = {path: ((_FOLDER / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

    def handle(self, request: Request) -> Reply | None:
        """The answer, or None when the path is not one of these."""
        if request.method not in ("GET", "HEAD"):
            return None
        file = self._contents.get(request.path)
        if file is not None:
            return Reply(200, *file, _headers(_PAGE_POLICY))
        shown = _MESSAGE_HTML.fullmatch(request.path)
        return None if shown is None else self._message_html(int(shown["id"]))

    def _message_html(self, message_id: int) -> Reply:
        message = self._inbox.find(message_id)
        html = None if message is None else merged(message.content.get("html"), message.merge)
        if html is None:
            return problem(404, "no such message, or it has no HTML")
        return Reply(200, html.encode("utf-8", "replace"), "text/html; charset=utf-8", _headers(_MESSAGE_POLICY))


def _headers(policy: str) -> list[tuple[str, str]]:
    return [
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
    ]
