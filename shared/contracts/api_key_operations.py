"""The operations on API keys."""

from shared.contracts import api_keys_api
from shared.contracts.operation import Answer, Operation, Parameter

_ROLE = "ApiKeys.Write"
_ID = Parameter("id", "path", "The key's id: the 12 characters after the kind.")
_TENANT = Parameter("tenant", "query", "For operators: whose keys; the caller's own without it.")
_TAG = "API keys"

API_KEY_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "create_api_key",
        "POST",
        "/v1/api-keys",
        "Make an API key",
        _ROLE,
        {201: Answer("Made; the key is shown this once.", api_keys_api.ApiKeyView)},
        (401, 403, 413, 422, 503),
        api_keys_api.CreateApiKey,
        tag=_TAG,
    ),
    Operation(
        "list_api_keys",
        "GET",
        "/v1/api-keys",
        "List a tenant's API keys, those of the last 90 days that were revoked among them",
        _ROLE,
        {200: Answer("The keys, newest first, without their secrets.", api_keys_api.ApiKeysView)},
        (401, 403, 422, 503),
        parameters=(_TENANT,),
        tag=_TAG,
    ),
    Operation(
        "rotate_api_key",
        "POST",
        "/v1/api-keys/{id}/rotate",
        "Give a key another secret, with the one before valid for a while",
        _ROLE,
        {200: Answer("The key with its new secret, shown this once.", api_keys_api.ApiKeyView)},
        (401, 403, 404, 409, 413, 422, 503),
        api_keys_api.RotateApiKey,
        (_ID,),
        tag=_TAG,
    ),
    Operation(
        "replace_api_key_recipients",
        "PUT",
        "/v1/api-keys/{id}/recipients",
        "Say anew whom a key of kind team may send to",
        _ROLE,
        {200: Answer("The key.", api_keys_api.ApiKeyView)},
        (401, 403, 404, 409, 413, 422, 503),
        api_keys_api.ReplaceRecipients,
        (_ID,),
        tag=_TAG,
    ),
    Operation(
        "revoke_api_key",
        "DELETE",
        "/v1/api-keys/{id}",
        "Revoke a key",
        _ROLE,
        {204: Answer("Revoked, now or before; refused everywhere within half a minute.")},
        (401, 403, 404, 409, 503),
        parameters=(_ID,),
        tag=_TAG,
    ),
)
