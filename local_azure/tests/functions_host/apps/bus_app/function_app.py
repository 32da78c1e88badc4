"""Service Bus triggers and outputs, for the tests of the functions host. What happens is appended to RECORD_FILE."""

import asyncio
import json
import os
import time
import typing
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def record(**seen: object) -> None:
    with Path(os.environ["RECORD_FILE"]).open("a") as file:
        file.write(json.dumps({**seen, "at": time.time(), "pid": os.getpid()}) + "\n")


@app.service_bus_queue_trigger(arg_name="msg", connection="BUS", queue_name="%ORDERS_QUEUE%")
async def order(msg: func.ServiceBusMessage) -> None:
    body = msg.get_body().decode()
    record(
        function="order",
        body=body,
        message_id=msg.message_id,
        subject=msg.subject,
        correlation_id=msg.correlation_id,
        content_type=msg.content_type,
        properties=msg.application_properties,
        delivery_count=msg.delivery_count,
        enqueued=msg.enqueued_time_utc.timestamp(),
        sequence_number=msg.sequence_number,
    )
    if body.startswith("fail"):
        raise ValueError("the order is bad")
    if body == "exit":
        os._exit(6)


@app.service_bus_queue_trigger(arg_name="msg", connection="BUS", queue_name="long")
async def long_runner(msg: func.ServiceBusMessage) -> None:
    body = msg.get_body().decode()
    record(function="long", body=body, state="started", delivery_count=msg.delivery_count)
    await asyncio.sleep(float(body))
    record(function="long", body=body, state="ended", delivery_count=msg.delivery_count)


@app.service_bus_topic_trigger(
    arg_name="msgs",
    connection="BUS",
    topic_name="events",
    subscription_name="audit",
    cardinality=func.Cardinality.MANY,
)
@app.service_bus_queue_output(arg_name="out", connection="BUS", queue_name="outbox")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:01")
async def audit(
    msgs: typing.List[func.ServiceBusMessage],  # noqa: UP006 - the indexer refuses list[...]
    out: func.Out[str],
) -> None:
    bodies = [msg.get_body().decode() for msg in msgs]
    record(function="audit", bodies=bodies, properties=[msg.application_properties for msg in msgs])
    if "poison" in bodies:
        raise ValueError("a message in the batch is bad")
    out.set(f"audited {len(msgs)}")


@app.route(route="send", auth_level=func.AuthLevel.ANONYMOUS)
@app.service_bus_topic_output(arg_name="out", connection="BUS", topic_name="events")
async def send(req: func.HttpRequest, out: func.Out[bytes]) -> str:
    out.set(req.get_body())
    return "sent"
