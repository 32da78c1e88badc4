"""The OpenAPI 3.1 document: the API's contract, made from its models and the table of operations.

``docs/openapi/v1.json`` is the document of the last release; contract_changes.py says what a change would break.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.contracts.operation import JSON, Answer, Operation, Schema
from shared.contracts.operations import OPERATIONS
from shared.contracts.problem import CONTENT_TYPE, ProblemDocument

API_VERSION = "1.0.0"
_DESCRIPTION = "Email, SMS, push and webhooks: accepted once, delivered by lane and channel, tracked to the end."
_CREDENTIAL = "A Microsoft Entra ID v2.0 access token of an application, with the role of the operation."
_KEY = "An API key (`cns_live_…`, `cns_team_…`, `cns_test_…`); `Authorization: Bearer` takes it as well."
_REF = "#/components/schemas/{model}"
_PROBLEM_TITLES = {
    400: "The body or a header can't be read",
    401: "No acceptable credential",
    403: "The caller lacks the role",
    404: "There is no such resource in the caller's tenant",
    409: "Another request is working on this",
    412: "The resource was changed meanwhile",
    413: "The body is too large",
    415: "The body is said to be something else than JSON",
    422: "Fields are wrong or missing; `errors` names each",
    428: "A condition (If-Match) is required",
    429: "Too much for now; repeat after `Retry-After`",
    500: "The service failed",
    503: "The service can't take the request now; repeat after `Retry-After`",
}
_WAIT_STATUSES = (409, 429, 503)


@cache
def openapi_document() -> dict[str, Any]:
    """The whole document, as plain JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Customer Notification Service",
            "version": API_VERSION,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/api"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": _CREDENTIAL,
                },
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": _KEY},
            },
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.function,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {str(status): _answer(answer) for status, answer in operation.answers.items()}
        | {str(status): _problem(status) for status in sorted({*operation.problems, *_any_may(operation)})},
    }
    if operation.role:
        described["description"] = f"Needs the app role `{operation.role}`."
        described["x-app-role"] = operation.role
    else:
        described["security"] = []
    if operation.parameters:
        described["parameters"] = [parameter.to_openapi() for parameter in operation.parameters]
    if operation.request is not None:
        described["requestBody"] = {"required": True, "content": {_body_type(operation.request): _body(operation)}}
    return described


def _any_may(operation: Operation) -> tuple[int, ...]:
    """The statuses that any operation of its kind may refuse with."""
    return (415, 500) if operation.role and isinstance(operation.request, type) else (500,)


def _body_type(request: type[BaseModel] | Schema) -> str:
    return JSON if isinstance(request, type) else "*/*"


def _body(operation: Operation) -> dict[str, Any]:
    return {"schema": _schema_of(operation.request)}


def _schema_of(model: type[BaseModel] | Schema | None) -> dict[str, Any]:
    if isinstance(model, type):
        return {"$ref": _REF.format(model=model.__name__)}
    return dict(model or {})


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    if answer.model is not None:
        described["content"] = {answer.media_type: {"schema": _schema_of(answer.model)}}
    return described


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _PROBLEM_TITLES[status],
        "content": {CONTENT_TYPE: {"schema": _schema_of(ProblemDocument)}},
    }
    if status in _WAIT_STATUSES:
        described["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return described


def _schemas() -> dict[str, Any]:
    inbound = {operation.request for operation in OPERATIONS if isinstance(operation.request, type)}
    outbound = {
        answer.model
        for operation in OPERATIONS
        for answer in operation.answers.values()
        if isinstance(answer.model, type)
    }
    wanted = [(model, "validation") for model in inbound] + [(model, "serialization") for model in outbound]
    wanted.append((ProblemDocument, "serialization"))
    ordered = sorted(wanted, key=lambda pair: pair[0].__name__)
    _, definitions = models_json_schema(ordered, ref_template=_REF)  # type: ignore[arg-type]  # modes are literals
    schemas: dict[str, Any] = definitions["$defs"]
    return dict(sorted(schemas.items()))
