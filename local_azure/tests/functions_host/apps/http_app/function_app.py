"""HTTP triggers of every kind, for the tests of the functions host."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
ANYONE = func.AuthLevel.ANONYMOUS


@app.route(route="echo/{name}/{number:int?}", methods=["GET", "POST"], auth_level=ANYONE)
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "headers": {name: req.headers[name] for name in ("traceparent", "x-test") if name in req.headers},
        "body": req.get_body().decode("latin-1"),
        "function": context.function_name,
        "trace_parent": context.trace_context.Traceparent,
        "pid": os.getpid(),
    }
    return func.HttpResponse(
        json.dumps(seen), mimetype="application/json", status_code=201, headers={"x-made-by": "me"}
    )


@app.route(route="text", auth_level=ANYONE)
def text(req: func.HttpRequest) -> str:
    """A synchronous function runs on the thread pool."""
    time.sleep(0.05)
    return "plain text"


@app.route(route="cookies", auth_level=ANYONE)
async def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse(b"\x00\xff", mimetype="application/octet-stream")
    response.headers.add("Set-Cookie", "a=1; Path=/")
    response.headers.add("Set-Cookie", "b=2; HttpOnly")
    return response


@app.route(route="nothing", auth_level=ANYONE)
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)


@app.route(route="slow/{seconds}", auth_level=ANYONE)
async def slow(req: func.HttpRequest) -> str:
    await asyncio.sleep(float(req.route_params["seconds"]))
    return "slept"


@app.route(route="fail", auth_level=ANYONE)
async def fail(req: func.HttpRequest) -> str:
    logging.getLogger("app").info("about to fail")
    raise ValueError("boom in the app")


@app.route(route="exit", auth_level=ANYONE)
async def leave(req: func.HttpRequest) -> str:
    os._exit(5)


@app.route(route="block/{seconds}", auth_level=ANYONE)
async def block(req: func.HttpRequest) -> str:
    """An app that blocks the loop, so that the worker cannot notice anything there."""
    time.sleep(float(req.route_params["seconds"]))  # noqa: ASYNC251 - that is the point
    return "blocked"


@app.route(route="keyed")
async def keyed(req: func.HttpRequest) -> str:
    return "opened"


@app.route(route="masters", auth_level=func.AuthLevel.ADMIN)
async def masters(req: func.HttpRequest) -> str:
    return "opened for the master"


@app.route(route="environment", auth_level=ANYONE)
async def environment(req: func.HttpRequest) -> func.HttpResponse:
    names = ("FROM_FILE", "FROM_BOTH", "PYTHONPATH", "CNS_HOST_WORKER_LOG_LEVEL")
    seen = {name: os.environ.get(name) for name in names}
    return func.HttpResponse(json.dumps({**seen, "cwd": str(Path.cwd())}))


@app.route(route="files/{*path}", auth_level=ANYONE)
async def files(req: func.HttpRequest) -> str:
    return req.route_params["path"]
