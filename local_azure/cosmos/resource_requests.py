"""Requests about the account, databases, containers and offers."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson

from local_azure.cosmos import request_units
from local_azure.cosmos.call import Call, common_headers, parse_body, partition_key
from local_azure.cosmos.catalog import Catalog, Database, describe_container
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import CosmosError
from local_azure.cosmos.http_server import Response
from local_azure.cosmos.offers import Offers, offer_of_headers
from local_azure.cosmos.sql.select import compile_text

_QUERY_ENGINE = {
    "maxSqlQueryInputLength": 262144,
    "maxJoinsPerSqlQuery": 10,
    "maxLogicalAndPerSqlQuery": 2000,
    "maxLogicalOrPerSqlQuery": 2000,
    "maxInExpressionItemsCount": 16000,
    "enableSpatialIndexing": False,
    "sqlAllowGroupByClause": True,
}


def _account(call: Call) -> dict[str, Any]:
    # All later traffic goes to the advertised address, so it must be the one the client used.
    host = (call.header(b"host") or b"127.0.0.1").decode("latin-1")
    location = [{"name": "Local", "databaseAccountEndpoint": f"{call.request.scheme}://{host}/"}]
    return {
        "_self": "",
        "id": "local",
        "_rid": "local",
        "media": "//media/",
        "addresses": "//addresses/",
        "_dbs": "//dbs/",
        "writableLocations": location,
        "readableLocations": location,
        "enableMultipleWriteLocations": False,
        "continuousBackupEnabled": False,
        "enablePerPartitionFailoverBehavior": False,
        "userReplicationPolicy": {"asyncReplication": False, "minReplicaSetSize": 1, "maxReplicasetSize": 1},
        "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
        "systemReplicationPolicy": {"minReplicaSetSize": 1, "maxReplicasetSize": 1},
        "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
        "queryEngineConfiguration": orjson.dumps(_QUERY_ENGINE).decode(),
    }


def _answer(call: Call, status: int, resource: dict[str, Any] | None = None) -> Response:
    headers = common_headers(call, request_units.METADATA)
    if resource is None:
        return Response(status, headers)
    if "_etag" in resource:
        headers.append((b"etag", resource["_etag"].encode()))
    return Response(status, headers, orjson.dumps(resource))


def _select(call: Call, resources: list[dict[str, Any]]) -> list[Any]:
    """The resources a list or query request asks for."""
    if call.request.method == "GET":
        return resources
    body = parse_body(call)
    select = compile_text(body["query"])
    parameters = {entry["name"]: entry["value"] for entry in body.get("parameters") or []}
    collector = select.collector(parameters)
    for resource in resources:
        for row in select.expand([resource], parameters):
            collector.add(row)
    return collector.results()


class ResourceRequests:
    """Answers calls that are not about items."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.offers = Offers(catalog)
        self._routes: dict[tuple[str, ...], Callable[[Call], Response]] = {
            (): lambda call: _answer(call, 200, _account(call)),
            ("dbs",): self._databases,
            ("dbs", "*"): self._database,
            ("dbs", "*", "colls"): self._containers,
            ("dbs", "*", "colls", "*"): self._container,
            ("dbs", "*", "colls", "*", "operations", "partitionkeydelete"): self._delete_partition,
            ("dbs", "*", "colls", "*", "conflicts"): self._conflicts,
            ("offers",): self._offers,
            ("offers", "*"): self._offer,
        }

    def answer(self, call: Call) -> Response:
        shape = tuple(part if number % 2 == 0 else "*" for number, part in enumerate(call.parts))
        if call.parts[4:] == ["operations", "partitionkeydelete"]:
            shape = (*shape[:5], "partitionkeydelete")
        route = self._routes.get(shape)
        if route is None:
            raise CosmosError(404, "This resource is not supported by the emulator.")
        return route(call)

    def _is_create(self, call: Call) -> bool:
        if call.request.method == "POST":
            return not call.flag(b"x-ms-documentdb-isquery")
        if call.request.method != "GET":
            raise CosmosError(405, "The method is not allowed here.")
        return False

    def _offer_asked(self, call: Call) -> dict[str, Any] | None:
        return offer_of_headers(
            call.header(b"x-ms-offer-throughput"), call.header(b"x-ms-cosmos-offer-autopilot-settings")
        )

    def _list(self, call: Call, name: str, resources: list[dict[str, Any]], rid: str = "") -> Response:
        found = _select(call, resources)
        headers = common_headers(call, request_units.METADATA)
        return Response(200, headers, orjson.dumps({"_rid": rid, name: found, "_count": len(found)}))

    def _databases(self, call: Call) -> Response:
        if self._is_create(call):
            return _answer(
                call, 201, self.catalog.create_database(parse_body(call), self._offer_asked(call)).describe()
            )
        return self._list(call, "Databases", [database.describe() for database in self.catalog.databases.values()])

    def _database(self, call: Call) -> Response:
        database = self.catalog.database(call.parts[1])
        if call.request.method == "GET":
            return _answer(call, 200, database.describe())
        if call.request.method == "DELETE":
            self.catalog.delete_database(database)
            return _answer(call, 204)
        raise CosmosError(405, "The method is not allowed here.")

    def _containers(self, call: Call) -> Response:
        database = self.catalog.database(call.parts[1])
        if self._is_create(call):
            container = self.catalog.create_container(database, parse_body(call), offer=self._offer_asked(call))
            return self._describe(call, 201, database, container)
        resources = [describe_container(container) for container in database.containers.values()]
        return self._list(call, "DocumentCollections", resources, database.rid)

    def _describe(self, call: Call, status: int, database: Database, container: Container) -> Response:
        resource = describe_container(container)
        if call.flag(b"x-ms-documentdb-populatepartitionstatistics"):
            resource["statistics"] = container.statistics()
        response = _answer(call, status, resource)
        response.headers.extend(
            [
                (b"x-ms-alt-content-path", quote(f"dbs/{database.id}").encode()),
                (b"x-ms-documentdb-collection-index-transformation-progress", b"100"),
            ]
        )
        if call.flag(b"x-ms-documentdb-populatequotainfo"):
            response.headers.append((b"x-ms-resource-usage", container.usage()))
        return response

    def _container(self, call: Call) -> Response:
        database = self.catalog.database(call.parts[1])
        container = self.catalog.container(call.parts[1], call.parts[3])
        if call.request.method == "GET":
            return self._describe(call, 200, database, container)
        if call.request.method == "PUT":
            self.catalog.replace_container(container, parse_body(call))
            return self._describe(call, 200, database, container)
        if call.request.method == "DELETE":
            self.catalog.delete_container(database, container)
            return _answer(call, 204)
        raise CosmosError(405, "The method is not allowed here.")

    def _delete_partition(self, call: Call) -> Response:
        container = self.catalog.container(call.parts[1], call.parts[3])
        container.remove_partition(partition_key(call, container))
        return _answer(call, 200)

    def _conflicts(self, call: Call) -> Response:
        # One region, so there is nothing that could conflict.
        return self._list(call, "Conflicts", [], self.catalog.container(call.parts[1], call.parts[3]).rid)

    def _offers(self, call: Call) -> Response:
        return self._list(call, "Offers", self.offers.all())

    def _offer(self, call: Call) -> Response:
        if call.request.method == "PUT":
            return _answer(call, 200, self.offers.replace(call.parts[1], parse_body(call)))
        return _answer(call, 200, self.offers.read(call.parts[1]))
