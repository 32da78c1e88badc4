"""Which instances a list or a purge is about: takes query parameters, gives instances in the order of creation."""

from dataclasses import dataclass

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.asgi import Request
from local_azure.functions_host.durable.instance import Instance
from local_azure.functions_host.durable.operations import OperationRefused
from local_azure.functions_host.durable.store import Store

_STATUSES = ("Pending", "Running", "Suspended", "Completed", "Failed", "Terminated", "Canceled", "ContinuedAsNew")

_TOP_DIGITS = 12


@dataclass(frozen=True)
class Selection:
    """Filters; an absent one lets everything through."""

    created_from: str | None = None
    created_to: str | None = None
    statuses: tuple[str, ...] = ()
    id_prefix: str | None = None
    top: int | None = None
    after: tuple[str, str] | None = None
    """Creation instant and id of the last instance of the page before."""

    @classmethod
    def of(cls, request: Request) -> "Selection":
        """The filters of a request.

        Raises:
            OperationRefused: One is malformed.
        """
        wanted = [part for part in (request.value("runtimeStatus") or "").split(",") if part]
        known = {status.lower(): status for status in _STATUSES}
        if unknown := [status for status in wanted if status.lower() not in known]:
            raise OperationRefused(f"There is no runtime status {unknown[0]!r}.")
        return cls(
            created_from=_instant(request, "createdTimeFrom"),
            created_to=_instant(request, "createdTimeTo"),
            statuses=tuple(known[status.lower()] for status in wanted),
            id_prefix=request.value("instanceIdPrefix"),
            top=_top(request),
            after=_after(request.headers.get("x-ms-continuation-token")),
        )

    def find(self, store: Store) -> tuple[list[Instance], str]:
        """The instances, and the continuation token for the rest ("" when there is none)."""
        conditions, parameters = ["1"], []
        if self.created_from is not None:
            conditions.append("created >= ?")
            parameters.append(self.created_from)
        if self.created_to is not None:
            conditions.append("created <= ?")
            parameters.append(self.created_to)
        if self.statuses:
            conditions.append(f"status IN ({', '.join('?' * len(self.statuses))})")
            parameters.extend(self.statuses)
        if self.id_prefix:
            conditions.append("substr(id, 1, ?) = ?")
            parameters.extend((len(self.id_prefix), self.id_prefix))
        if self.after is not None:
            conditions.append("(created, id) > (?, ?)")
            parameters.extend(self.after)
        limit = -1 if self.top is None else self.top + 1
        where = f"{' AND '.join(conditions)} ORDER BY created, id LIMIT ?"
        found = store.instances(where, (*parameters, limit))
        if self.top is None or len(found) <= self.top:
            return found, ""
        last = found[self.top - 1]
        return found[: self.top], f"{last.created}|{last.id}"


def _instant(request: Request, name: str) -> str | None:
    text = request.value(name)
    if not text:
        return None
    try:
        return instant.to_text(instant.from_text(text))
    except ValueError as error:
        raise OperationRefused(f"{name} is no ISO 8601 instant: {text!r}") from error


def _top(request: Request) -> int | None:
    text = request.value("top")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or not text.strip("0"):
        raise OperationRefused(f"top is no positive number: {text[:50]!r}")
    return int(text) if len(text) < _TOP_DIGITS else None  # more than can be: no limit


def _after(token: str | None) -> tuple[str, str] | None:
    if not token:
        return None
    created, bar, instance_id = token.partition("|")
    if not bar:
        raise OperationRefused("The continuation token is not one of this list.")
    return created, instance_id
