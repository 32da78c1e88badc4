import json
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from functions import callback_endpoints, health, notifications, receipts, submit
from functions.http_edge import problems_as_json, submit_request
from shared.contracts.problem import CONTENT_TYPE
from shared.domain.errors import (
    CnsError,
    Conflict,
    DestinationRefused,
    FieldError,
    InDoubt,
    InvalidSubmission,
    KeyReused,
    NotAuthenticated,
    NotAuthorised,
    NotFound,
    Overloaded,
    PublishFailed,
    RateExceeded,
    ReceiptNotAuthentic,
    StoreUnavailable,
)
from shared.domain.gateway_proof import GatewayProof
from tests.fakes.world import CALLER, a_body

SENDING = {
    "submit": submit.submit_notification,
    "batch": submit.submit_notification_batch,
    "register endpoint": callback_endpoints.register_callback_endpoint,
    "replace endpoint": callback_endpoints.replace_callback_endpoint,
    "remove endpoint": callback_endpoints.remove_callback_endpoint,
}
READING = {
    "read": notifications.read_notification,
    "list endpoints": callback_endpoints.list_callback_endpoints,
    "read endpoint": callback_endpoints.read_callback_endpoint,
}
UNACCEPTABLE = [
    None, "", "Bearer", "Bearer ", "Basic c2hvcDpwdw==", "shop/Notifications.Send", "Bearer nonsense",
    "Token shop/Notifications.Send", "Bearer\tshop/x", "bearer", "Negotiate x",
]  # fmt: skip

ERRORS: list[tuple[Exception, int]] = [
    (InvalidSubmission([FieldError("/a", "b")]), 422),
    (InvalidSubmission([FieldError("", "b")], status=413), 413),
    (InvalidSubmission([FieldError("", "b")], status=400), 400),
    (NotAuthenticated("x"), 401),
    (NotAuthorised("x"), 403),
    (NotFound("x"), 404),
    (Conflict("x"), 409),
    (KeyReused("x"), 422),
    (DestinationRefused("x"), 422),
    (Overloaded("x", retry_after=timedelta(seconds=3)), 429),
    (RateExceeded("x", retry_after=timedelta(seconds=3), per_second=5), 429),
    (StoreUnavailable("x"), 503),
    (PublishFailed("x"), 503),
    (ReceiptNotAuthentic("x"), 401),
    (InDoubt("x"), 500),
    (CnsError("x"), 500),
    (ValueError("secret detail"), 500),
    (KeyError("secret detail"), 500),
]


async def _answer_to(error: Exception) -> func.HttpResponse:
    @problems_as_json
    async def failing() -> func.HttpResponse:
        raise error

    return await failing()


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
async def test_every_error_is_a_problem_document(error: Exception, status: int) -> None:
    answer = await _answer_to(error)

    problem = json.loads(answer.get_body())
    assert (answer.status_code, problem["status"], answer.mimetype) == (status, status, CONTENT_TYPE)
    assert problem["type"].startswith("https://")
    assert problem["title"]


@pytest.mark.parametrize("error", [ValueError("secret detail"), StoreUnavailable("secret detail"), NotFound("detail")])
async def test_what_is_not_the_callers_business_is_told_without_detail(error: Exception) -> None:
    assert b"detail" not in (await _answer_to(error)).get_body()


async def test_refused_fields_are_named_by_pointer() -> None:
    errors = [FieldError("/recipient/email", "is required"), FieldError("", "b")]

    problem = json.loads((await _answer_to(InvalidSubmission(errors))).get_body())

    assert problem["errors"] == [
        {"pointer": "/recipient/email", "detail": "is required"},
        {"pointer": "", "detail": "b"},
    ]


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (StoreUnavailable("x"), "Retry-After", "2"),
        (PublishFailed("x"), "Retry-After", "2"),
        (Conflict("x", retry_after=timedelta(seconds=0.2)), "Retry-After", "1"),
        (Conflict("x", retry_after=timedelta(seconds=7)), "Retry-After", "7"),
        (Overloaded("x", retry_after=timedelta(seconds=3.2)), "Retry-After", "4"),
        (RateExceeded("x", retry_after=timedelta(seconds=3)), "Retry-After", "3"),
        (RateExceeded("x", retry_after=timedelta(seconds=3), per_second=5), "RateLimit-Policy", '"tenant";q=5;w=1'),
        (RateExceeded("x", retry_after=timedelta(seconds=3), per_second=0.1), "RateLimit-Policy", '"tenant";q=1;w=10'),
        (RateExceeded("x", retry_after=timedelta(seconds=3), per_second=5), "RateLimit", '"tenant";r=0;t=3'),
        (NotAuthenticated("x"), "WWW-Authenticate", "Bearer"),
    ],
)
async def test_the_caller_is_told_what_to_do_next(error: Exception, header: str, value: str) -> None:
    assert (await _answer_to(error)).headers[header] == value


@pytest.mark.parametrize("token", UNACCEPTABLE)
@pytest.mark.parametrize("name", SENDING | READING)
async def test_without_an_acceptable_token_nothing_is_done(world: Any, call: Any, name: str, token: str | None) -> None:
    bindings = {"starter": "{}"} if name == "submit" else {}

    answer = await call((SENDING | READING)[name], b"{}", token=token, **bindings)

    assert answer.status_code == 401
    assert world.documents == {}


@pytest.mark.parametrize("name", SENDING | READING)
@pytest.mark.parametrize("roles", ["", "Notifications.Admin", "notifications.send", "Notifications.Sendx", "*"])
async def test_without_the_role_nothing_is_done(world: Any, call: Any, name: str, roles: str) -> None:
    bindings = {"starter": "{}"} if name == "submit" else {}

    answer = await call((SENDING | READING)[name], b"{}", token=f"Bearer shop/{roles}", **bindings)

    assert answer.status_code == 403
    assert world.documents == {}


@pytest.mark.parametrize("name", SENDING | READING)
async def test_the_other_role_is_not_enough(world: Any, call: Any, name: str) -> None:
    other = "Notifications.Read" if name in SENDING else "Notifications.Send"
    bindings = {"starter": "{}"} if name == "submit" else {}

    answer = await call((SENDING | READING)[name], b"{}", token=f"Bearer shop/{other}", **bindings)

    assert answer.status_code == 403


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_whatever_its_case(world: Any, call: Any, scheme: str) -> None:
    answer = await call(callback_endpoints.list_callback_endpoints, token=f"{scheme} shop/Notifications.Read")

    assert answer.status_code == 200


async def test_receipts_and_health_need_no_token(world: Any, call: Any) -> None:
    assert (await call(receipts.receive_receipts, token=None, route={"provider": "fake-email"})).status_code == 204
    assert (await call(health.live, token=None)).status_code == 200
    assert (await call(health.ready, token=None)).status_code == 200


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=5", 5),
        ("Wait=5", 5),
        ("wait = 5", 5),
        ("respond-async, wait=10", 10),
        ("wait=10, respond-async", 10),
        ("wait=30", 30),
        ("wait=31", 30),
        ("wait=999999999999999999999", 30),
        ("wait=0", None),
        ("return=minimal", None),
        ("waiting=5", None),
        ("wait=2, wait=9", 2),
        ('wait="10"', 10),
        ("wait=10; because=slow", 10),
    ],
)
def test_patience_is_read_from_prefer(prefer: str | None, seconds: int | None) -> None:
    headers = {"prefer": prefer} if prefer is not None else {}

    wait = submit_request(func.HttpRequest("POST", "/", headers=headers, body=b""), CALLER).wait

    assert wait == (timedelta(seconds=seconds) if seconds else None)


@pytest.mark.parametrize(
    "prefer", ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=1s", "respond-async, wait=x"]
)
def test_patience_that_is_no_number_is_refused(prefer: str) -> None:
    with pytest.raises(InvalidSubmission) as refused:
        submit_request(func.HttpRequest("POST", "/", headers={"prefer": prefer}, body=b""), CALLER)

    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"Idempotency-Key": "a"}, "a"),
        ({"X-Idempotency-Key": "b"}, "b"),
        ({"Idempotency-Key": "a", "X-Idempotency-Key": "b"}, "a"),
    ],
)
def test_the_idempotency_key_has_two_names(headers: dict[str, str], key: str | None) -> None:
    assert submit_request(func.HttpRequest("POST", "/", headers=headers, body=b""), CALLER).idempotency_key == key


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("sent", "kept"), [(TRACE, TRACE), ("00-x", None), ("ada@example.com", None), (TRACE * 100, None), ("", None)]
)
def test_only_a_trace_goes_along_as_a_trace(sent: str, kept: str | None) -> None:
    request = func.HttpRequest("POST", "/", headers={"traceparent": sent}, body=b"body")

    assert (submit_request(request, CALLER).traceparent, submit_request(request, CALLER).body) == (kept, b"body")


@pytest.mark.parametrize("name", ["idempotency-key", "x-idempotency-key"])
def test_a_key_that_is_empty_is_not_no_key(name: str) -> None:
    assert submit_request(func.HttpRequest("POST", "/", headers={name: ""}, body=b""), CALLER).idempotency_key == ""


PROOF = GatewayProof.of("new-secret-of-the-gateway old-secret-of-the-gateway")


@pytest.mark.parametrize("shown", [None, "", "guess", "x" * 24, "new-secret-of-the-gatewaY"])
@pytest.mark.parametrize("name", SENDING | READING)
async def test_a_call_past_the_gateway_is_refused(world: Any, call: Any, name: str, shown: str | None) -> None:
    world.with_(gateway=PROOF)
    bindings = {"starter": "{}"} if name == "submit" else {}

    answer = await call(
        (SENDING | READING)[name], b"{}", headers={} if shown is None else {"x-cns-gateway": shown}, **bindings
    )

    assert answer.status_code == 401
    assert b"gateway" not in answer.get_body()
    assert world.documents == {}


@pytest.mark.parametrize("shown", ["new-secret-of-the-gateway", "old-secret-of-the-gateway"])
async def test_a_call_through_the_gateway_still_needs_its_own_credential(world: Any, call: Any, shown: str) -> None:
    world.with_(gateway=PROOF)
    endpoints = callback_endpoints.list_callback_endpoints

    assert (await call(endpoints, headers={"x-cns-gateway": shown})).status_code == 200
    assert (await call(endpoints, headers={"x-cns-gateway": shown}, token=None)).status_code == 401


async def test_health_and_receipts_have_credentials_of_their_own(world: Any, call: Any) -> None:
    world.with_(gateway=PROOF)

    assert (await call(health.ready, token=None)).status_code == 200
    assert (await call(receipts.receive_receipts, b"[]", route={"provider": "fake-email"}, token=None)).status_code in {
        204,
        401,
    }


@pytest.mark.parametrize(
    "name", ["x-cns-tenant", "x-cns-caller", "x-cns-roles", "x-cns-gateway", "x-ms-client-principal"]
)
async def test_what_a_caller_says_of_itself_in_headers_changes_nothing(world: Any, call: Any, name: str) -> None:
    answer = await call(callback_endpoints.list_callback_endpoints, token="Bearer shop/None", headers={name: "admin"})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("Application/JSON", 202),
        ("", 202),
        ("application/octet-stream", 202),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/xml", 415),
    ],
)
async def test_a_body_that_is_said_to_be_no_json_is_refused(
    world: Any, call: Any, media_type: str, status: int
) -> None:
    body = json.dumps(a_body()).encode()

    answer = await call(submit.submit_notification, body, headers={"content-type": media_type}, starter="{}")

    assert answer.status_code == status
    assert len(world.documents) == (1 if status == 202 else 0)
