"""Durable functions through the real SDK client, for the tests of the functions host."""

from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    greeting = yield context.call_activity("greet", context.get_input())
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=60))
    approved = context.wait_for_external_event("approved")
    winner = yield context.task_any([timer, approved])
    if winner == timer:
        return "too late"
    timer.cancel()
    count = yield context.call_entity(df.EntityId("counter", "approvals"), "add", 1)
    return {"greeting": greeting, "by": approved.result, "count": count}


@app.orchestration_trigger(context_name="context")
def fails(context: df.DurableOrchestrationContext):
    yield context.call_activity("raises", None)


@app.activity_trigger(input_name="name")
async def greet(name: str) -> str:
    return f"hello {name}"


@app.activity_trigger(input_name="ignored")
def raises(ignored) -> None:
    raise ValueError("kaput")


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0) + context.get_input()
    context.set_state(value)
    context.set_result(value)


@app.route(route="start/{name}")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new(req.route_params["name"], client_input=req.params.get("for"))
    return client.create_check_status_response(req, instance_id)


@app.route(route="approve/{id}")
@app.durable_client_input(client_name="client")
async def approve(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.raise_event(req.route_params["id"], "approved", "eve")
    return await client.wait_for_completion_or_create_check_status_response(req, req.route_params["id"], 5000, 50)
