"""Versions of stored things as HTTP names them (RFC 9110 8.8.3)."""

import hashlib


def entity_tag(version: str) -> str:
    """The tag of a version; also that there is none has a tag, so that a first write is like any other."""
    return f'"{hashlib.sha256(version.encode()).hexdigest()[:16]}"'
