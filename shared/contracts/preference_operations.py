"""The operations on customers' preferences."""

from shared.contracts import preferences_api
from shared.contracts.operation import ETAG, IF_MATCH, IF_NONE_MATCH, Answer, Operation, Parameter

_CUSTOMER = Parameter("customerId", "path", "The consumer's name for the customer.")

PREFERENCE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "read_preferences",
        "GET",
        "/v1/preferences/{customerId}",
        "Read what a customer wants and how the customer is reached",
        "Notifications.Read",
        {200: Answer("The profile.", preferences_api.PreferencesView, ETAG)},
        (401, 403, 404, 503),
        parameters=(_CUSTOMER,),
        tag="Preferences",
    ),
    Operation(
        "replace_preferences",
        "PUT",
        "/v1/preferences/{customerId}",
        "Write a customer's whole profile",
        "Preferences.Write",
        {
            200: Answer("The profile as it is now.", preferences_api.PreferencesView, ETAG),
            201: Answer("The profile, which is new.", preferences_api.PreferencesView, ETAG),
        },
        (401, 403, 404, 412, 413, 422, 503),
        preferences_api.PreferencesModel,
        (_CUSTOMER, IF_MATCH, IF_NONE_MATCH),
        tag="Preferences",
    ),
    Operation(
        "change_preferences",
        "PATCH",
        "/v1/preferences/{customerId}",
        "Change a customer's profile in part (JSON merge patch, RFC 7396)",
        "Preferences.Write",
        {200: Answer("The profile as it is now.", preferences_api.PreferencesView, ETAG)},
        (400, 401, 403, 404, 412, 413, 422, 503),
        {"type": "object", "description": "The fields to change; null removes one."},
        (_CUSTOMER, IF_MATCH),
        tag="Preferences",
    ),
)
