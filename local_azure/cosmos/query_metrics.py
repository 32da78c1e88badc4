"""The two diagnostic headers a query can ask for: execution metrics and index use.

Shapes as the SDK reads them (`populate_query_metrics`, `populate_index_metrics`). Times are not measured and shown as
zero; index use lists the paths of the condition, which the service would all have indexed.
"""

from base64 import b64encode

import orjson

from local_azure.cosmos.candidates import condition_paths
from local_azure.cosmos.query import Page
from local_azure.cosmos.sql.select import Select


def execution_metrics(page: Page) -> bytes:
    values = {
        "totalExecutionTimeInMs": "0.00",
        "queryCompileTimeInMs": "0.00",
        "queryLogicalPlanBuildTimeInMs": "0.00",
        "queryPhysicalPlanBuildTimeInMs": "0.00",
        "queryOptimizationTimeInMs": "0.00",
        "VMExecutionTimeInMs": "0.00",
        "indexLookupTimeInMs": "0.00",
        "documentLoadTimeInMs": "0.00",
        "systemFunctionExecuteTimeInMs": "0.00",
        "userFunctionExecuteTimeInMs": "0.00",
        "retrievedDocumentCount": page.read.items,
        "retrievedDocumentSize": page.read.size,
        "outputDocumentCount": len(page.documents),
        "outputDocumentSize": page.size,
        "writeOutputTimeInMs": "0.00",
        "indexUtilizationRatio": f"{_useful_share(page):.2f}",
    }
    return ";".join(f"{name}={value}" for name, value in values.items()).encode()


def _useful_share(page: Page) -> float:
    return min(1.0, len(page.documents) / page.read.items) if page.read.items else 1.0


def index_use(select: Select) -> bytes:
    used = [
        {"FilterExpression": "", "IndexSpec": "/" + "/".join(path) + "/?", "FilterPreciseSet": True,
         "IndexPreciseSet": True, "IndexImpactScore": "High"}
        for path in [("_epk",), *condition_paths(select)]
    ]  # fmt: skip
    report = {
        "UtilizedSingleIndexes": used,
        "PotentialSingleIndexes": [],
        "UtilizedCompositeIndexes": [],
        "PotentialCompositeIndexes": [],
    }
    return b64encode(orjson.dumps(report))
