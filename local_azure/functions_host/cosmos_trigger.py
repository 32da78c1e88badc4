"""Makes the listener of a Cosmos DB trigger from its binding."""

import json

from local_azure.functions_host.cosmos_listener import CosmosListener
from local_azure.functions_host.cosmos_source import read_trigger
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.listeners import Surroundings


def make_listener(function: Function, surroundings: Surroundings) -> CosmosListener:
    """The change-feed listener of the function.

    Raises:
        SettingsInvalid: a connection or an expression is missing.
    """
    return CosmosListener(
        function.name,
        read_trigger(function.trigger, surroundings.environment),
        surroundings.text_runner(function),
        owner=surroundings.owner,
        retry=function.retry,
    )


async def run_by_hand(function: Function, surroundings: Surroundings, text: str) -> None:
    """Run with a JSON array of documents.

    Raises:
        ValueError: the text is not a JSON array.
    """
    if not isinstance(json.loads(text or "[]"), list):
        raise ValueError("the input of a Cosmos DB trigger is an array of documents")  # noqa: TRY004 - it is text
    await surroundings.text_runner(function)(text or "[]", (0, 0))
