"""Data keys wrapped with a key in Azure Key Vault (RSA-OAEP-256), which never leaves it.

The identity needs wrapKey, unwrapKey and get on that one key (role "Key Vault Crypto Service Encryption User"). Each
wrapped data key names the version that wrapped it, so versions may be rotated at any time; an old one may be disabled
when the daily timer has wrapped everything anew. Which version is newest is asked at most every five minutes.
https://learn.microsoft.com/python/api/overview/azure/keyvault-keys-readme (read 2026-11-25). Unverified: a real vault.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.identity.aio import DefaultAzureCredential
from azure.keyvault.keys.aio import KeyClient
from azure.keyvault.keys.crypto import KeyWrapAlgorithm
from azure.keyvault.keys.crypto.aio import CryptographyClient

from shared.adapters.keyring import Wrapped
from shared.domain.errors import StoreUnavailable

NEWEST_KNOWN_FOR_SECONDS = 300.0
CALL_SECONDS = 5.0
_ALGORITHM = KeyWrapAlgorithm.rsa_oaep_256
_PATH_PARTS = 2


class VaultKey:
    """KeyWrapper over ``https://<vault>/keys/<name>``. ``options`` go to the SDK's clients, for tests."""

    def __init__(self, url: str, credential: Any = None, **options: Any) -> None:
        """Raises ValueError: the URL names no key, or a version of one."""
        parts = urlsplit(url)
        path = parts.path.strip("/").split("/")
        if parts.scheme != "https" or len(path) != _PATH_PARTS or path[0] != "keys":
            raise ValueError("the setting DATA_KEYS_VAULT_KEY is not https://<vault>/keys/<name>")
        self._vault, self._name = f"https://{parts.netloc}", path[1]
        self._credential = credential
        self._options = options
        self._newest: tuple[str, float] | None = None
        self._clients: dict[str, CryptographyClient] = {}

    async def newest(self) -> str:
        now = asyncio.get_running_loop().time()
        if self._newest is None or self._newest[1] <= now:
            async with _vault_errors(), KeyClient(self._vault, self._identity(), **self._options) as client:
                key = await client.get_key(self._name)
            self._newest = (str(key.id), now + NEWEST_KNOWN_FOR_SECONDS)
        return self._newest[0]

    async def wrap(self, secret: bytes) -> Wrapped:
        newest = await self.newest()
        async with _vault_errors():
            wrapped = await self._client(newest).wrap_key(_ALGORITHM, secret)
        return Wrapped(newest, wrapped.encrypted_key)

    async def unwrap(self, wrapped: Wrapped) -> bytes:
        async with _vault_errors():
            opened = await self._client(wrapped.by).unwrap_key(_ALGORITHM, wrapped.data)
        return bytes(opened.key)

    def _client(self, key_id: str) -> CryptographyClient:
        if key_id not in self._clients:
            self._clients[key_id] = CryptographyClient(key_id, self._identity(), **self._options)
        return self._clients[key_id]

    def _identity(self) -> Any:
        if self._credential is None:
            self._credential = DefaultAzureCredential()
        return self._credential


@asynccontextmanager
async def _vault_errors() -> AsyncIterator[None]:
    """Whatever keeps Key Vault from answering is StoreUnavailable: what hangs on it comes again."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            yield
    except (AzureError, TimeoutError, OSError) as error:
        raise StoreUnavailable("Key Vault did not answer") from error
