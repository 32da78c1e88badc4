"""Resource ids: the base64 names the service gives to databases, containers and items.

A container's id is 8 bytes (4 of its database, 4 own with the top bit set), an item's id is the container's plus a
64-bit number. They are random and kept in the store, so tokens that carry them survive restarts and a recreated
container is recognised as another one.
"""

import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error


def _encode(raw: bytes) -> str:
    return b64encode(raw).decode().replace("/", "-")


def new_database_rid() -> str:
    return _encode(secrets.token_bytes(4))


def new_container_rid(database_rid: str) -> str:
    own = bytearray(secrets.token_bytes(4))
    own[0] |= 0x80
    return _encode(decode(database_rid) + bytes(own))


def decode(rid: str) -> bytes:
    return b64decode(rid.replace("-", "/"))


def item_rid(container_bytes: bytes, number: int) -> str:
    return b64encode(container_bytes + number.to_bytes(8, "little")).decode().replace("/", "-")


def item_number(rid: str) -> int | None:
    """The number inside an item's resource id; None when the text is not one."""
    try:
        raw = decode(rid)
    except (Base64Error, ValueError):
        return None
    return int.from_bytes(raw[8:], "little") if len(raw) == 16 else None
