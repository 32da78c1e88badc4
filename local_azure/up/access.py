"""How a consumer gets in: the OAuth client-credentials flow of the running issuer, or a token made from its key folder.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from pathlib import Path

import aiohttp

from local_azure.entra.clients import Client, find_client, read_clients
from local_azure.entra.identities import AUDIENCE, TENANT_ID
from local_azure.entra.signing_keys import SigningKeys
from local_azure.entra.tokens import issue_token

_CLIENT = "demo"


async def ask_for_token(session: aiohttp.ClientSession, entra_url: str, entra_data: Path) -> dict[str, str]:
    """The headers of a consumer, from the issuer over HTTP. Raises: aiohttp.ClientResponseError: it refused."""
    client = _demo_client(entra_data)
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "scope": f"{AUDIENCE}/.default",
    }
    async with session.post(f"{entra_url}/{TENANT_ID}/oauth2/v2.0/token", data=form) as response:
        response.raise_for_status()
        return {"Authorization": f"Bearer {(await response.json())['access_token']}"}


def make_token(entra_port: int, entra_data: Path) -> str:
    """A token of the same client without asking the issuer, which need not run yet. Valid for an hour."""
    client = _demo_client(entra_data)
    key = SigningKeys(entra_data).current()
    return issue_token(key, port=entra_port, client_id=client.client_id, roles=client.roles)


def _demo_client(entra_data: Path) -> Client:
    client = find_client(read_clients(entra_data), _CLIENT)
    if client is None:
        raise LookupError(f"{entra_data / 'clients.json'} has no client {_CLIENT!r}")
    return client
