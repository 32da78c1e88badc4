"""What is remembered of tenants' SMS in Cosmos DB (container ``rate-limits``, partition ``sms:`` and the tenant).

``countries`` holds when each country was first sent to; ``receipts-<country>-<hour>`` counts what receipts said in an
hour. All are moved by patches, so nothing is read before it is written; what exists already stays as it is.
"""

from collections.abc import Mapping
from typing import Any

from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters.cosmos_client import CONFLICT, NOT_FOUND, PRECONDITION_FAILED, CosmosDatabase, store_errors
from shared.adapters.cosmos_limits import CONTAINER
from shared.domain.identifiers import TenantId
from shared.domain.sms_pumping import Receipts

_COUNTRIES = "countries"
_HOUR_SECONDS = 3600
_RECEIPTS_KEPT_SECONDS = 3 * _HOUR_SECONDS


class CosmosSmsRecords:
    """SmsRecordStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def first_sent(self, tenant: TenantId) -> Mapping[str, float]:
        document = await self._read(_partition(tenant), _COUNTRIES)
        return {name.removeprefix("c"): at for name, at in document["firstSent"].items()} if document else {}

    async def note_sent(self, tenant: TenantId, country: str, now: float) -> None:
        await self._patch_or_create(
            _partition(tenant),
            {"id": _COUNTRIES, "type": "sms-countries", "firstSent": {}},
            {"op": "set", "path": f"/firstSent/c{country}", "value": now},
            f"not is_defined(c.firstSent.c{country})",
        )

    async def receipts(self, tenant: TenantId, country: str, now: float) -> Receipts:
        hour = int(now // _HOUR_SECONDS)
        found = [await self._read(_partition(tenant), _receipts_id(country, each)) for each in (hour - 1, hour)]
        counts = [document for document in found if document]
        return Receipts(sum(each["delivered"] for each in counts), sum(each["failed"] for each in counts))

    async def note_receipt(self, tenant: TenantId, country: str, *, delivered: bool, now: float) -> None:
        document = {
            "id": _receipts_id(country, int(now // _HOUR_SECONDS)),
            "type": "sms-receipts",
            "delivered": 0,
            "failed": 0,
            "ttl": _RECEIPTS_KEPT_SECONDS,
        }
        path = "/delivered" if delivered else "/failed"
        await self._patch_or_create(_partition(tenant), document, {"op": "incr", "path": path, "value": 1}, "true")

    async def _read(self, partition: str, item: str) -> dict[str, Any] | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._container.read_item(item, partition)
        except CosmosHttpResponseError:
            return None

    async def _patch_or_create(
        self, partition: str, fresh: dict[str, Any], operation: dict[str, Any], condition: str
    ) -> None:
        """The patch is made where its condition holds, on a fresh document where there is none."""
        for _ in range(2):
            try:
                async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                    await self._container.patch_item(
                        fresh["id"],
                        partition,
                        [operation],
                        filter_predicate=f"from c where {condition}",
                        no_response=True,
                    )
            except CosmosHttpResponseError as error:
                if error.status_code == PRECONDITION_FAILED:
                    return
            else:
                return
            try:
                async with store_errors(CONFLICT):
                    await self._container.create_item({**fresh, "partitionKey": partition}, no_response=True)
            except CosmosHttpResponseError:
                continue  # another process made it first

    @property
    def _container(self) -> ContainerProxy:
        return self._database.container(CONTAINER)


def _partition(tenant: TenantId) -> str:
    return f"sms:{tenant}"


def _receipts_id(country: str, hour: int) -> str:
    return f"receipts-{country}-{hour}"
