"""Throughput offers: read, list, replace; the numbers that the optional budget enforces.

Takes the catalogue; gives offer resources as the SDK's `get_throughput` and `replace_throughput` read them.
"""

from typing import Any

import orjson

from local_azure.cosmos import rids
from local_azure.cosmos.catalog import Catalog, Database, Offer
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import bad_request, not_found

_STEP = 100
_AUTOSCALE_STEP = 1000
_MAX = 1_000_000


def offer_of_headers(throughput: bytes | None, autopilot: bytes | None) -> Offer | None:
    """The offer that the headers of a create request ask for."""
    if autopilot:
        try:
            return _autoscale(orjson.loads(autopilot))
        except orjson.JSONDecodeError as error:
            raise bad_request("The autoscale settings header is not valid JSON.") from error
    if throughput is None:
        return None
    if not throughput.isdigit():
        raise bad_request("The offer throughput header is not a number.")
    return {"offerThroughput": _checked(int(throughput))}


def _checked(throughput: Any) -> int:
    if type(throughput) is not int or throughput % _STEP or not 400 <= throughput <= _MAX:
        raise bad_request(f"The offer should have a throughput of at least 400, at most {_MAX}, in steps of {_STEP}.")
    return throughput


def _autoscale(settings: Any) -> Offer:
    most = settings.get("maxThroughput") if isinstance(settings, dict) else None
    if type(most) is not int or most < _AUTOSCALE_STEP:
        raise bad_request(f"Requested throughput {most} is less than required minimum throughput {_AUTOSCALE_STEP}.")
    if most % _AUTOSCALE_STEP or most > _MAX:
        raise bad_request(f"Autoscale throughput goes in steps of {_AUTOSCALE_STEP} up to {_MAX}.")
    return {"offerThroughput": most // 10, "offerAutopilotSettings": settings}


def _resource(rid: str, self_link: str, offer: Offer, changed_at: int) -> dict[str, Any]:
    name = rids.decode(rid)[-4:].hex()
    return {
        "id": name,
        "_rid": name,
        "_self": f"offers/{name}/",
        "_etag": f'"{changed_at:012x}"',
        "_ts": changed_at,
        "resource": self_link,
        "offerType": "Invalid",
        "offerVersion": "V2",
        "offerResourceId": rid,
        "content": {"offerIsRUPerMinuteThroughputEnabled": False, **offer},
    }


def throughput_of(offer: Offer | None) -> int | None:
    """The request units each second an offer buys; autoscale counts as its maximum."""
    if offer is None:
        return None
    autopilot = offer.get("offerAutopilotSettings")
    return int(autopilot["maxThroughput"]) if autopilot else int(offer["offerThroughput"])


class Offers:
    """All offers of an account."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def _owners(self) -> list[tuple[Database | Container, dict[str, Any]]]:
        found: list[tuple[Database | Container, dict[str, Any]]] = []
        for database in self.catalog.databases.values():
            if database.offer:
                described = database.describe()
                found.append(
                    (database, _resource(database.rid, described["_self"], database.offer, database.created_at))
                )
            for container in database.containers.values():
                offer = self.catalog.offers.get(container.number)
                if offer:
                    found.append(
                        (container, _resource(container.rid, container.self_link, offer, container.created_at))
                    )
        return found

    def all(self) -> list[dict[str, Any]]:
        return [resource for _, resource in self._owners()]

    def read(self, name: str) -> dict[str, Any]:
        return self._find(name)[1]

    def _find(self, name: str) -> tuple[Database | Container, dict[str, Any]]:
        for owner, resource in self._owners():
            if resource["id"].lower() == name.lower():
                return owner, resource
        raise not_found("The offer does not exist.")

    def replace(self, name: str, body: Any) -> dict[str, Any]:
        owner, resource = self._find(name)
        content = body.get("content") if isinstance(body, dict) else None
        if not isinstance(content, dict):
            raise bad_request("An offer needs a 'content' object.")
        autopilot = content.get("offerAutopilotSettings")
        offer = _autoscale(autopilot) if autopilot else {"offerThroughput": _checked(content.get("offerThroughput"))}
        self.catalog.set_offer(owner, offer)
        return {**resource, "content": {"offerIsRUPerMinuteThroughputEnabled": False, **offer}}
