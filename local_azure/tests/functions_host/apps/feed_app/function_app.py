"""Cosmos DB triggers, for the tests of the functions host. What happens is appended to RECORD_FILE."""

import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
FAILURES_LEFT = {"bad": 3}


def record(**seen: object) -> None:
    with Path(os.environ["RECORD_FILE"]).open("a") as file:
        file.write(json.dumps({**seen, "pid": os.getpid()}) + "\n")


@app.cosmos_db_trigger(
    arg_name="docs",
    connection="STORE",
    database_name="shop",
    container_name="items",
    lease_container_name="leases",
    lease_container_prefix="%FEED_PREFIX%",
    create_lease_container_if_not_exists=True,
    feed_poll_delay=50,
    max_items_per_invocation=5,
    start_from_beginning=True,
    lease_acquire_interval=300,
)
@app.retry(strategy="fixed_delay", max_retry_count="1", delay_interval="00:00:00")
async def every_change(docs: func.DocumentList, context: func.Context) -> None:
    ids = [doc["id"] for doc in docs]
    record(function="every_change", ids=ids, retry=context.retry_context.retry_count)
    if os.environ.get("FAIL_ON") in ids and FAILURES_LEFT["bad"]:
        FAILURES_LEFT["bad"] -= 1
        raise ValueError("the batch is bad")


@app.cosmos_db_trigger(
    arg_name="docs",
    connection="STORE",
    database_name="shop",
    container_name="items",
    lease_container_name="leases",
    lease_container_prefix="now-%FEED_PREFIX%",
    create_lease_container_if_not_exists=True,
    feed_poll_delay=50,
)
async def new_changes(docs: func.DocumentList) -> None:
    record(function="new_changes", ids=[doc["id"] for doc in docs])


@app.route(route="copy", auth_level=func.AuthLevel.ANONYMOUS)
@app.cosmos_db_output(arg_name="out", connection="STORE", database_name="shop", container_name="other")
async def copy(req: func.HttpRequest, out: func.Out[func.DocumentList]) -> str:
    out.set(func.DocumentList([func.Document.from_dict(document) for document in req.get_json()]))
    return "copied"


@app.route(route="make/{container}", auth_level=func.AuthLevel.ANONYMOUS)
@app.cosmos_db_output(
    arg_name="made",
    connection="STORE",
    database_name="made",
    container_name="here",
    create_if_not_exists=True,
    partition_key="/pk",
)
@app.cosmos_db_output(arg_name="missing", connection="STORE", database_name="shop", container_name="nowhere")
async def make(req: func.HttpRequest, made: func.Out[func.Document], missing: func.Out[func.Document]) -> str:
    (made if req.route_params["container"] == "here" else missing).set(func.Document.from_dict({"id": "x", "pk": "y"}))
    return "made"
