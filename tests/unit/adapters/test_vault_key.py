"""VaultKey with the real SDK over a transport that plays Key Vault's documented REST API: the wire is unverified.

https://learn.microsoft.com/rest/api/keyvault/keys/wrap-key (read 2026-11-25)
"""

import base64
import json
import time
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.core.rest import HttpRequest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shared.adapters.keyring import Wrapped
from shared.adapters.vault_key import VaultKey
from shared.domain.errors import StoreUnavailable

URL = "https://vault.example/keys/cns"
CHALLENGE = 'Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net"'
_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Credential:
    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", int(time.time()) + 3600)

    async def close(self) -> None:
        """Nothing to close."""


class Answer:
    """What the SDK reads of an answer."""

    def __init__(self, request: HttpRequest, status: int, body: Any) -> None:
        self.request, self.status_code, self.reason = request, status, "as planned"
        self.headers = {"content-type": "application/json"}
        self.content_type = "application/json"
        self._body = json.dumps(body).encode()
        self.content = self._body
        self.internal_response = None

    def body(self) -> bytes:
        return self._body

    def text(self, encoding: str | None = None) -> str:
        return self._body.decode()

    def json(self) -> Any:
        return json.loads(self._body)

    async def read(self) -> bytes:
        return self._body

    async def load_body(self) -> None:
        """Loaded already."""

    def raise_for_status(self) -> None:
        """Judged by its status."""


class Vault(AsyncHttpTransport):  # type: ignore[type-arg]
    """One key with versions, newest last."""

    def __init__(self) -> None:
        self.keys = {"v1": rsa.generate_private_key(65537, 2048)}
        self.away = False
        self.calls: list[str] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def send(self, request: Any, **_: Any) -> Any:
        path = request.url.partition("?")[0].removeprefix("https://vault.example/keys/cns").strip("/").split("/")
        if "Authorization" not in request.headers:
            answer = Answer(request, 401, {})
            answer.headers["WWW-Authenticate"] = CHALLENGE
            return answer
        self.calls.append(f"{request.method} {'/'.join(path)}")
        if self.away:
            return Answer(request, 403, {"error": {"code": "Forbidden", "message": "no"}})
        version = path[0] or list(self.keys)[-1]
        key = self.keys[version]
        if request.method == "GET":
            numbers = key.public_key().public_numbers()
            web_key = {
                "kid": f"{URL}/{version}",
                "kty": "RSA",
                "key_ops": ["wrapKey", "unwrapKey"],
                "n": _encoded(numbers.n.to_bytes(256)),
                "e": _encoded(numbers.e.to_bytes(3)),
            }
            return Answer(request, 200, {"key": web_key, "attributes": {"enabled": True}})
        body = json.loads(request.body if hasattr(request, "body") else request.content)
        value = _decoded(body["value"])
        done = key.public_key().encrypt(value, _OAEP) if path[1] == "wrapkey" else key.decrypt(value, _OAEP)
        return Answer(request, 200, {"kid": f"{URL}/{version}", "value": _encoded(done)})


def a_key(vault: Vault) -> VaultKey:
    return VaultKey(URL, Credential(), transport=vault, retry_total=0, verify_challenge_resource=False)


async def test_what_is_wrapped_is_unwrapped_and_names_the_version() -> None:
    vault = Vault()

    wrapped = await a_key(vault).wrap(bytes(range(32)))

    assert wrapped.by == f"{URL}/v1"
    assert await a_key(vault).unwrap(wrapped) == bytes(range(32))


async def test_an_old_version_still_unwraps_after_a_rotation() -> None:
    vault = Vault()
    old = await a_key(vault).wrap(bytes(32))
    vault.keys["v2"] = rsa.generate_private_key(65537, 2048)

    new = await a_key(vault).wrap(bytes(32))

    assert new.by == f"{URL}/v2"
    assert await a_key(vault).unwrap(old) == bytes(32)


async def test_the_newest_version_is_not_asked_for_each_time() -> None:
    vault = Vault()
    key = a_key(vault)

    assert await key.newest() == await key.newest() == f"{URL}/v1"

    assert len([call for call in vault.calls if call == "GET "]) == 1


async def test_a_vault_that_does_not_answer_is_a_store_that_is_away() -> None:
    vault = Vault()
    vault.away = True

    with pytest.raises(StoreUnavailable):
        await a_key(vault).wrap(bytes(32))
    with pytest.raises(StoreUnavailable):
        await a_key(vault).unwrap(Wrapped(f"{URL}/v1", bytes(256)))


@pytest.mark.parametrize("url", ["", "http://v.example/keys/k", "https://v.example/keys/k/version", "https://v/k"])
def test_the_setting_names_a_key_and_no_version(url: str) -> None:
    with pytest.raises(ValueError, match="DATA_KEYS_VAULT_KEY"):
        VaultKey(url)
