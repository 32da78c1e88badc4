"""The operations on links to unsubscribe."""

from shared.contracts.operation import Answer, Operation, Parameter

_TOKEN = Parameter("token", "path", "What the link in the message says; its signature is the credential.")
_PAGE = Answer("A page for people, in the language they ask for.", {"type": "string"}, media_type="text/html")

UNSUBSCRIBE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "show_unsubscribe_page",
        "GET",
        "/v1/unsubscribe/{token}",
        "Show the page behind a link to unsubscribe; changes nothing",
        None,
        {200: _PAGE},
        (404, 429, 503),
        parameters=(_TOKEN,),
        tag="Unsubscribe",
    ),
    Operation(
        "follow_unsubscribe_link",
        "POST",
        "/v1/unsubscribe/{token}",
        "Unsubscribe in one click (RFC 8058); with `action=subscribe`, take it back",
        None,
        {200: _PAGE},
        (404, 429, 503),
        parameters=(_TOKEN,),
        tag="Unsubscribe",
    ),
)
