"""The tokens, as an API verifies them, and the endpoints, as OAuth clients use them."""

from __future__ import annotations

import json
import stat
import threading
import time

import jwt
import pytest
import requests

from local_azure.entra.identities import AUDIENCE, CLIENT_IDS, ROLES, TENANT_ID

from .conftest import command


def get(url):
    return requests.get(url, timeout=5)


def claims_by_jwks(issuer_url, token):
    """What an API does: discovery, keys, signature, issuer, audience, times."""
    discovery = get(f"{issuer_url}/{TENANT_ID}/v2.0/.well-known/openid-configuration").json()
    keys = jwt.PyJWKSet.from_dict(get(discovery["jwks_uri"]).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=discovery["issuer"])


def ask_for_token(issuer_url, **changes):
    form = {"grant_type": "client_credentials", "scope": f"{AUDIENCE}/.default"} | changes
    return requests.post(f"{issuer_url}/{TENANT_ID}/oauth2/v2.0/token", data=form, timeout=5)


def secret_of(tmp_path, name):
    clients = json.loads((tmp_path / "clients.json").read_text())
    return next(client["client_secret"] for client in clients if client["name"] == name)


def test_a_printed_token_is_what_entra_gives_an_application(token, issuer):
    port = issuer.rpartition(":")[2]

    claims = claims_by_jwks(issuer, token("--port", port))

    assert claims["iss"] == f"http://127.0.0.1:{port}/{TENANT_ID}/v2.0"
    assert (claims["tid"], claims["azp"], claims["ver"], claims["idtyp"]) == (
        TENANT_ID,
        CLIENT_IDS["demo"],
        "2.0",
        "app",
    )
    assert claims["oid"] == claims["sub"] != claims["azp"]
    assert claims["roles"] == list(ROLES)
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["nbf"] == claims["iat"]


def test_roles_lifetime_and_client_can_be_chosen(token):
    shown = jwt.decode(
        token("--client", "orders", "--role", "Notifications.Read", "--ttl", "60"), options={"verify_signature": False}
    )

    assert (shown["azp"], shown["roles"]) == (CLIENT_IDS["orders"], ["Notifications.Read"])
    assert shown["exp"] - shown["iat"] == 60


def test_an_expired_token_can_be_had(token):
    assert jwt.decode(token("--ttl", "-10"), options={"verify_signature": False})["exp"] < time.time()


@pytest.mark.parametrize(("option", "value"), [("--client", "nobody"), ("--role", "Everything")])
def test_an_unknown_client_or_role_is_told(tmp_path, option, value):
    ended = command("token", "--data", str(tmp_path), option, value)

    assert ended.returncode == 1
    assert value in ended.stderr
    assert ended.stdout == ""


def test_client_credentials_give_a_token(issuer, tmp_path):
    answer = ask_for_token(issuer, client_id=CLIENT_IDS["marketing"], client_secret=secret_of(tmp_path, "marketing"))

    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3600)
    claims = claims_by_jwks(issuer, answer.json()["access_token"])
    assert claims["azp"] == CLIENT_IDS["marketing"]
    assert "Privacy.Erase" not in claims["roles"]


def test_the_secret_may_come_as_basic_credentials(issuer, tmp_path):
    answer = requests.post(
        f"{issuer}/{TENANT_ID}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": f"{AUDIENCE}/.default"},
        auth=(CLIENT_IDS["demo"], secret_of(tmp_path, "demo")),
        timeout=5,
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, 401, "unauthorized_client"),
        ({"client_id": "demo"}, 401, "unauthorized_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "api://other/.default"}, 400, "invalid_scope"),
        ({"scope": ""}, 400, "invalid_scope"),
    ],
)
def test_a_wrong_request_gets_entras_error(issuer, tmp_path, changes, status, error):
    wanted = {"client_id": CLIENT_IDS["demo"], "client_secret": secret_of(tmp_path, "demo")} | changes

    answer = ask_for_token(issuer, **wanted)

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"].startswith("AADSTS")


def test_another_tenant_is_unknown(issuer):
    answer = get(f"{issuer}/00000000-0000-0000-0000-000000000000/v2.0/.well-known/openid-configuration")

    assert answer.status_code == 400


def test_rotation_signs_with_a_new_key_and_keeps_old_tokens_valid(token, issuer, tmp_path):
    port = issuer.rpartition(":")[2]
    old = token("--port", port)

    assert command("rotate", "--data", str(tmp_path)).returncode == 0

    new = token("--port", port)
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    assert claims_by_jwks(issuer, old)["tid"] == claims_by_jwks(issuer, new)["tid"] == TENANT_ID
    keys = get(f"{issuer}/{TENANT_ID}/discovery/v2.0/keys").json()["keys"]
    assert len(keys) == 2
    assert all(not key.keys() & {"d", "p", "q"} for key in keys), "only public halves are published"


def test_secrets_are_for_the_owner_only(token, tmp_path):
    token()

    for file in (*(tmp_path / "keys").glob("*.pem"), tmp_path / "clients.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_several_first_starts_at_once_agree_on_one_key(token):
    kids = []
    starts = [threading.Thread(target=lambda: kids.append(jwt.get_unverified_header(token())["kid"])) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()

    assert len(kids) == 4
    assert len(set(kids)) == 1


def test_a_taken_port_is_told(issuer, tmp_path):
    port = issuer.rpartition(":")[2]

    ended = command("serve", "--port", port, "--data", str(tmp_path))

    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr


def test_a_broken_clients_file_is_told(tmp_path):
    (tmp_path / "clients.json").write_text('{"demo": 1}')

    ended = command("token", "--data", str(tmp_path))

    assert ended.returncode == 1
    assert "clients.json" in ended.stderr
    assert "Traceback" not in ended.stderr
