"""The headers by which a mail program offers to unsubscribe: RFC 2369 3.2, and RFC 8058 for doing it in one click.

A DKIM signature has to cover both (RFC 8058, 4); the providers that sign for us do so by default, and whoever signs for
an SMTP server of one's own must be told. https://www.rfc-editor.org/rfc/rfc8058 (read 2026-11-25).
"""

from collections.abc import Mapping


def unsubscribe_headers(url: str | None) -> Mapping[str, str]:
    """The headers; none without a link."""
    if url is None:
        return {}
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
