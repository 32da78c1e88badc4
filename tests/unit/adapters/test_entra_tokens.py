"""Tokens signed here with keys made here, verified against a JWKS endpoint served here: every way to be refused."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.adapters.entra_tokens import MAX_KEYS_BYTES, MAX_TOKEN_LENGTH, EntraSettings, EntraTokens
from shared.domain.errors import NotAuthenticated

ISSUER = "https://login.example/tenant/v2.0"
AUDIENCE = "api://cns"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGERS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused for it
ELLIPTIC_KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Issuer:
    """The JWKS endpoint: counts fetches, answers what it is told to."""

    def __init__(self) -> None:
        self.fetches = 0
        self.status = 200
        self.document: Any = {
            "keys": [
                _jwk(KEY, "k1"),
                _elliptic_jwk("ec1"),
                _jwk(STRANGERS_KEY, "encryption") | {"use": "enc"},
                _jwk(SMALL_KEY, "small"),
                {"kty": "oct", "kid": "secret", "k": jwt.utils.base64url_encode(b"s" * 32).decode()},
            ]
        }
        self.uri = ""

    async def answer(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        return web.json_response(self.document, status=self.status)


def _jwk(key: rsa.RSAPrivateKey, key_id: str) -> dict[str, Any]:
    return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": key_id, "use": "sig"}


def _elliptic_jwk(key_id: str) -> dict[str, Any]:
    return jwt.algorithms.ECAlgorithm.to_jwk(ELLIPTIC_KEY.public_key(), as_dict=True) | {"kid": key_id}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    application = web.Application()
    application.router.add_get("/keys", issuer.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.uri = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    yield issuer
    await runner.cleanup()


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 3600, "tid": "tenant", "azp": "shop",
        "ver": "2.0", "roles": ["Notifications.Send"], "oid": "o", "sub": "s",
    }  # fmt: skip
    return {name: value for name, value in (claims | changes).items() if value is not None}


def _token(claims: dict[str, Any] | None = None, key: Any = KEY, algorithm: str = "RS256", **headers: Any) -> str:
    return jwt.encode(claims or _claims(), key, algorithm=algorithm, headers={"kid": "k1"} | headers)


def _verifier(issuer: Issuer) -> EntraTokens:
    return EntraTokens(EntraSettings(issuer=ISSUER, audience=AUDIENCE, jwks_uri=issuer.uri))


async def test_a_good_token_names_its_application_tenant_and_roles(issuer: Issuer) -> None:
    caller = await _verifier(issuer).verify(_token())

    assert (caller.tenant_id, caller.application_id, caller.roles) == ("shop", "shop", {"Notifications.Send"})


async def test_a_token_without_roles_is_somebody_who_may_nothing(issuer: Issuer) -> None:
    assert (await _verifier(issuer).verify(_token(_claims(roles=None)))).roles == frozenset()


async def test_a_clock_a_minute_off_is_tolerated(issuer: Issuer) -> None:
    now = int(time.time())
    verifier = _verifier(issuer)

    await verifier.verify(_token(_claims(exp=now - 30)))
    await verifier.verify(_token(_claims(nbf=now + 30, iat=now + 30)))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "api://other"},
        {"aud": [AUDIENCE + "x"]},
        {"aud": None},
        {"iss": "https://login.example/other/v2.0"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"exp": 1},
        {"exp": int(time.time()) - 61},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": int(time.time()) + 3600},
        {"nbf": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"tid": None},
        {"azp": None},
        {"ver": None},
        {"ver": "1.0"},
        {"idtyp": "user"},
        {"roles": "Notifications.Send"},
        {"roles": {"Notifications.Send": True}},
        {"roles": ["Notifications.Send", 1]},
        {"tid": "other"},
        {"tid": ""},
        {"tid": ["tenant"]},
        {"scp": "Notifications.Send"},
        {"scp": ""},
        {"azp": ""},
        {"azp": ["shop"]},
        {"azp": "shop:1"},
        {"azp": "shop/../bank"},
        {"azp": "sh\u202eop"},
        {"ver": 2.0},
    ],
    ids=str,
)
async def test_a_signed_token_with_wrong_claims_is_refused(issuer: Issuer, changes: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        await _verifier(issuer).verify(_token(_claims(**changes)))


def _unsigned() -> str:
    return _token(key=None, algorithm="none")


def _raw(payload: bytes, header: bytes, key: rsa.RSAPrivateKey = KEY) -> str:
    """Signed by us, whatever it says."""
    signing_input = jwt.utils.base64url_encode(header) + b"." + jwt.utils.base64url_encode(payload)
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(signing_input, key)
    return (signing_input + b"." + jwt.utils.base64url_encode(signature)).decode()


def _with_public_key_as_secret() -> str:
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT","kid":"k1"}')
    body = jwt.utils.base64url_encode(json.dumps(_claims()).encode())
    signing_input = head + b"." + body
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = jwt.utils.base64url_encode(algorithm.sign(signing_input, PUBLIC_PEM))
    return (signing_input + b"." + signature).decode()


FORGERIES = {
    "no signature": _unsigned,
    "HS256 with the public key as its secret": _with_public_key_as_secret,
    "HS256 with a guessed secret": lambda: _token(key="s" * 32, algorithm="HS256"),
    "a stranger's key under our key's name": lambda: _token(key=STRANGERS_KEY),
    "a stranger's key under a name of its own": lambda: _token(key=STRANGERS_KEY, kid="k9"),
    "another algorithm of the same family": lambda: _token(algorithm="RS384"),
    "PS256": lambda: _token(algorithm="PS256"),
    "an elliptic key": lambda: _token(key=ELLIPTIC_KEY, algorithm="ES256", kid="ec1"),
    "an elliptic key's name on an RSA signature": lambda: _token(kid="ec1"),
    "no key named": lambda: jwt.encode(_claims(), KEY, algorithm="RS256"),
    "a key that the token brings along": lambda: _token(key=STRANGERS_KEY, jwk=_jwk(STRANGERS_KEY, "k1")),
    "a key that the token points to": lambda: _token(key=STRANGERS_KEY, jku="https://evil.example/keys"),
    "a changed payload": lambda: ".".join(
        (_token().split(".")[0], _token(_claims(azp="bank")).split(".")[1], _token().split(".")[2])
    ),
    "its signature cut short": lambda: _token()[:-4],
    "its signature left out": lambda: _token().rsplit(".", 1)[0] + ".",
    "a claim said twice": lambda: _raw(
        json.dumps(_claims(azp="bank"))[:-1].encode() + b',"azp":"shop"}', b'{"alg":"RS256","kid":"k1"}'
    ),
    "a key named twice": lambda: _raw(json.dumps(_claims()).encode(), b'{"alg":"RS256","kid":"k9","kid":"k1"}'),
    "an extension it says must be understood": lambda: _token(crit=["exp"]),
    "a key named by a path": lambda: _token(kid="../../etc/passwd\x00"),
    "a key named by a list": lambda: _raw(json.dumps(_claims()).encode(), b'{"alg":"RS256","kid":["k1"]}'),
    "a key for encryption": lambda: _token(key=STRANGERS_KEY, kid="encryption"),
    "a key that is too small": lambda: _raw(
        json.dumps(_claims()).encode(), b'{"alg":"RS256","kid":"small"}', SMALL_KEY
    ),
    "a secret published as a key": lambda: _token(key="s" * 32, algorithm="HS256", kid="secret"),
    "a payload that is a list": lambda: _raw(b"[]", b'{"alg":"RS256","kid":"k1"}'),
    "a payload that is no JSON": lambda: _raw(b"azp=shop", b'{"alg":"RS256","kid":"k1"}'),
    "a signed token that is too long": lambda: _token(_claims(more="x" * MAX_TOKEN_LENGTH)),
    "letters that are not ASCII": lambda: _token() + "\u00e9",
    "four parts": lambda: _token() + ".e30",
    "an encrypted token": lambda: "e30.e30.e30.e30.e30",
    "two parts": lambda: ".".join(_token().split(".")[:2]),
    "nothing": lambda: "",
    "nonsense": lambda: "nonsense",
    "dots": lambda: "..",
    "no text": lambda: "\x00\xff",
    "an endless token": lambda: "a." * 50_000,
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forgery_is_refused(issuer: Issuer, name: str) -> None:
    with pytest.raises(NotAuthenticated):
        await _verifier(issuer).verify(FORGERIES[name]())


async def test_a_token_known_already_is_known_until_it_expires(issuer: Issuer) -> None:
    verifier = _verifier(issuer)
    token = _token()

    first = await verifier.verify(token)

    assert await verifier.verify(token) is first
    assert issuer.fetches == 1


async def test_a_flood_of_unknown_key_names_costs_one_fetch(issuer: Issuer) -> None:
    verifier = _verifier(issuer)
    await verifier.verify(_token())

    for number in range(100):
        with pytest.raises(NotAuthenticated):
            await verifier.verify(_token(key=STRANGERS_KEY, kid=f"k{number}x"))

    assert issuer.fetches == 1


async def test_a_flood_of_unsigned_tokens_costs_no_fetch(issuer: Issuer) -> None:
    verifier = _verifier(issuer)

    for number in range(20):
        with pytest.raises(NotAuthenticated):
            await verifier.verify(_token(key="s" * 32, algorithm="HS256", kid=f"k{number}"))

    assert issuer.fetches == 0


async def test_an_endless_list_of_keys_is_no_list(issuer: Issuer) -> None:
    issuer.document = {"keys": [_jwk(KEY, "k1")], "more": "x" * MAX_KEYS_BYTES}

    with pytest.raises(NotAuthenticated):
        await _verifier(issuer).verify(_token())


async def test_keys_are_not_looked_for_where_the_issuer_points_to(issuer: Issuer) -> None:
    issuer.status = 302

    with pytest.raises(NotAuthenticated):
        await _verifier(issuer).verify(_token())


async def test_a_flood_before_any_key_is_known_costs_one_fetch(issuer: Issuer) -> None:
    verifier = _verifier(issuer)

    for number in range(20):
        with pytest.raises(NotAuthenticated):
            await verifier.verify(_token(key=STRANGERS_KEY, kid=f"k{number}x"))

    assert issuer.fetches == 1
    await verifier.verify(_token())


async def test_an_issuer_that_is_away_is_not_asked_again_by_every_request(issuer: Issuer) -> None:
    issuer.status = 503
    verifier = _verifier(issuer)

    for _ in range(20):
        with pytest.raises(NotAuthenticated):
            await verifier.verify(_token())

    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, {"keys": []}, {"keys": None}, {"keys": "x"}, {"keys": [1]}, {"keys": [{"kty": "RSA"}]}],
)
async def test_keys_nobody_can_read_are_no_keys(issuer: Issuer, document: Any) -> None:
    issuer.document = document

    with pytest.raises(NotAuthenticated):
        await _verifier(issuer).verify(_token())
