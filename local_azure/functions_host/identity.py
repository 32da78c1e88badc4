"""The credential of identity-based connections: what azure-identity finds on this machine or in Azure."""

import functools
from typing import Any

from local_azure.functions_host.host_settings import Connection


def make_credential(connection: Connection) -> Any:
    """The machine's identity: environment, managed identity (the one with ``clientId``), developer tools."""
    return _credential(connection.client_id)


@functools.cache
def _credential(client_id: str | None) -> Any:
    """One for each identity: clients come and go with their connections, and do not close it."""
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - slow to import, rarely needed locally

    if client_id is None:
        return DefaultAzureCredential()
    return DefaultAzureCredential(managed_identity_client_id=client_id)
