"""The operations on callback endpoints."""

from shared.contracts import callback_endpoints_api as api
from shared.contracts.operation import Answer, Operation, Parameter

_READ, _WRITE = "Notifications.Read", "Notifications.Send"
_TAG = "Callback endpoints"
_PATH = "/v1/callback-endpoints"
_ID = Parameter("id", "path", "The endpoint's id, as it was answered when it was registered.")
_SECRET_ID = Parameter("secretId", "path", "The secret's id, as the endpoint shows it.")

CALLBACK_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "register_callback_endpoint",
        "POST",
        _PATH,
        "Register where callbacks go",
        _WRITE,
        {
            201: Answer(
                "Registered; the secret is shown this once.",
                api.CallbackEndpointView,
                {"Location": "Where the resource is."},
            )
        },
        (401, 403, 413, 422, 503),
        api.RegisterCallbackEndpoint,
        tag=_TAG,
    ),
    Operation(
        "list_callback_endpoints",
        "GET",
        _PATH,
        "List the caller's callback endpoints",
        _READ,
        {200: Answer("The endpoints, without their secrets.", api.CallbackEndpointListView)},
        (401, 403, 503),
        tag=_TAG,
    ),
    Operation(
        "read_callback_endpoint",
        "GET",
        f"{_PATH}/{{id}}",
        "Read one callback endpoint",
        _READ,
        {200: Answer("The endpoint, without its secret.", api.CallbackEndpointView)},
        (401, 403, 404, 503),
        parameters=(_ID,),
        tag=_TAG,
    ),
    Operation(
        "replace_callback_endpoint",
        "PUT",
        f"{_PATH}/{{id}}",
        "Change a callback endpoint; enables it again",
        _WRITE,
        {200: Answer("The endpoint as it is now.", api.CallbackEndpointView)},
        (401, 403, 404, 409, 413, 422, 503),
        api.RegisterCallbackEndpoint,
        (_ID,),
        tag=_TAG,
    ),
    Operation(
        "remove_callback_endpoint",
        "DELETE",
        f"{_PATH}/{{id}}",
        "Remove a callback endpoint",
        _WRITE,
        {204: Answer("It is gone.")},
        (401, 403, 404, 503),
        parameters=(_ID,),
        tag=_TAG,
    ),
    Operation(
        "test_callback_endpoint",
        "POST",
        f"{_PATH}/{{id}}/test",
        "Post a signed test event to the endpoint now",
        _WRITE,
        {200: Answer("What came of it, also when it was not taken.", api.CallbackTestView)},
        (401, 403, 404, 503),
        parameters=(_ID,),
        tag=_TAG,
    ),
    Operation(
        "rotate_callback_secret",
        "POST",
        f"{_PATH}/{{id}}/secrets",
        "Give the endpoint a new secret; the one before stays valid for a while",
        _WRITE,
        {
            201: Answer(
                "The new secret, shown this once. From now on every callback carries its signature as well.",
                api.CallbackEndpointView,
            )
        },
        (401, 403, 404, 409, 413, 422, 503),
        api.RotateSecret,
        (_ID,),
        tag=_TAG,
    ),
    Operation(
        "revoke_callback_secret",
        "DELETE",
        f"{_PATH}/{{id}}/secrets/{{secretId}}",
        "Revoke a secret that another has taken the place of",
        _WRITE,
        {200: Answer("The endpoint, whose callbacks are not signed with it any more.", api.CallbackEndpointView)},
        (401, 403, 404, 409, 422, 503),
        parameters=(_ID, _SECRET_ID),
        tag=_TAG,
    ),
)
