"""Checks before anything starts: every port free, or one message that says which are not and who holds them."""

from collections.abc import Sequence

from local_azure.up.part import Part
from local_azure.up.ports import describe_holder, is_free


class PortsTaken(Exception):
    """At least one part could not listen."""


def require_free_ports(parts: Sequence[Part]) -> None:
    """Raises: PortsTaken: one line per port that is taken."""
    taken = [
        f"  port {port} ({purpose} of the {part.title}) is taken{_by(port)}"
        for part in parts
        for purpose, port in part.ports.items()
        if not is_free(port)
    ]
    if taken:
        raise PortsTaken(
            "nothing was started:\n" + "\n".join(taken) + "\nStop what holds them, or choose others: --port-offset 1000"
        )


def _by(port: int) -> str:
    holder = describe_holder(port)
    return f" by {holder}" if holder else ""
