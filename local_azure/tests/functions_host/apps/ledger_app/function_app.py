"""Every kind of trigger writes down what it has done; for the script that kills the host under load."""

import asyncio
import json
import os
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def record(**done: object) -> None:
    with Path(os.environ["RECORD_FILE"]).open("a") as file:
        file.write(json.dumps(done) + "\n")


@app.service_bus_queue_trigger(arg_name="msg", connection="BUS", queue_name="work")
@app.durable_client_input(client_name="client")
async def accept(msg: func.ServiceBusMessage, client: df.DurableOrchestrationClient) -> None:
    number = msg.get_body().decode()
    record(step="accepted", number=number)
    if not await client.get_status(number):  # one that is over would be replaced
        await client.start_new("process", number, number)


@app.orchestration_trigger(context_name="context")
def process(context: df.DurableOrchestrationContext):
    number = context.get_input()
    parts = yield context.task_all([context.call_activity("note", f"{number}/{part}") for part in range(3)])
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=0.2))
    yield context.call_sub_orchestrator("store", number)
    count = yield context.call_entity(df.EntityId("total", "all"), "add", 1)
    return [len(parts), count]


@app.orchestration_trigger(context_name="context")
def store(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("put", context.get_input()))


@app.activity_trigger(input_name="text")
async def note(text: str) -> str:
    await asyncio.sleep(0.02)
    record(step="noted", number=text)
    return text


@app.activity_trigger(input_name="number")
@app.cosmos_db_output(arg_name="out", connection="STORE", database_name="shop", container_name="items")
async def put(number: str, out: func.Out[func.Document]) -> str:
    out.set(func.Document.from_dict({"id": number, "pk": number}))
    return number


@app.cosmos_db_trigger(
    arg_name="docs",
    connection="STORE",
    database_name="shop",
    container_name="items",
    create_lease_container_if_not_exists=True,
    feed_poll_delay=100,
    lease_acquire_interval=300,
    start_from_beginning=True,
)
async def seen(docs: func.DocumentList) -> None:
    for doc in docs:
        record(step="seen", number=doc["id"])


@app.entity_trigger(context_name="context")
def total(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0) + context.get_input()
    context.set_state(value)
    context.set_result(value)
