"""The Message-ID of our emails (RFC 5322, 3.6.4): it carries the attempt id, so what quotes it leads to the attempt.

``<attempt id, percent-encoded>@<domain of the sender>``. An attempt id is printable ASCII without spaces and holds no
personal data; what is left after percent-encoding are characters that a dot-atom allows.
"""

from urllib.parse import quote, unquote

from shared.domain.identifiers import AttemptId, AttemptRef


def message_id(attempt_id: AttemptId, domain: str) -> str:
    """The Message-ID of an attempt, with its angle brackets."""
    return f"<{quote(attempt_id, safe='')}@{domain}>"


def attempt_of(header: object) -> AttemptRef | None:
    """The attempt that a Message-ID stands for; None when it is not one of ours."""
    if not isinstance(header, str):
        return None
    return AttemptRef.parse(unquote(header.strip().removeprefix("<").partition("@")[0]))
