"""python -m local_azure.entra: serve the issuer, print a token, rotate the key."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from local_azure.entra.clients import ClientsFileError, find_client, read_clients
from local_azure.entra.identities import ROLES
from local_azure.entra.signing_keys import KeyFolderError, SigningKeys
from local_azure.entra.tokens import DEFAULT_LIFETIME_SECONDS, issue_token


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    commands = {"serve": _serve, "token": _print_token, "rotate": _rotate}
    try:
        return commands[arguments.command](arguments)
    except (ClientsFileError, KeyFolderError, OSError) as error:
        print(f"entra: {error}", file=sys.stderr)
        return 1


def _serve(arguments: argparse.Namespace) -> int:
    # The server's packages are loaded here only: `token` is typed often and should be quick.
    from local_azure.entra.endpoints import Endpoints  # noqa: PLC0415
    from local_azure.provider_sandbox.listener import run  # noqa: PLC0415

    @contextlib.asynccontextmanager
    async def lifetime(port: int) -> AsyncIterator[Any]:
        yield Endpoints(arguments.data, port).route

    return run("token issuer", arguments.port, lifetime)


def _print_token(arguments: argparse.Namespace) -> int:
    clients = read_clients(arguments.data)
    client = find_client(clients, arguments.client)
    if client is None:
        known = ", ".join(client.name for client in clients)
        print(f"entra: no client {arguments.client!r}; there are {known}", file=sys.stderr)
        return 1
    roles = arguments.role or client.roles
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        print(f"entra: no role {unknown[0]!r}; there are {', '.join(ROLES)}", file=sys.stderr)
        return 1
    token = issue_token(
        SigningKeys(arguments.data).current(),
        port=arguments.port,
        client_id=client.client_id,
        roles=roles,
        lifetime_seconds=arguments.ttl,
    )
    print(f"Authorization: Bearer {token}")
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    print(f"signing with {SigningKeys(arguments.data).rotate().kid}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_azure.entra", description="The development token issuer, in place of Microsoft Entra ID."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer discovery, key and token requests on 127.0.0.1")
    token = commands.add_parser("token", help="print one line, the Authorization header; the server need not run")
    rotate = commands.add_parser("rotate", help="sign with a new key from now on; the old ones stay published")
    for command in (serve, token, rotate):
        command.add_argument("--data", type=Path, default=Path(".local/entra"), help="folder of keys and clients.json")
    for command in (serve, token):
        command.add_argument("--port", type=int, default=7073, help="port of the issuer's address (default 7073)")
    token.add_argument("--client", default="demo", help="name or id of a client in clients.json (default demo)")
    token.add_argument("--role", action="append", help="app role; repeat for several (default: the client's roles)")
    token.add_argument(
        "--ttl",
        type=int,
        default=DEFAULT_LIFETIME_SECONDS,
        help="lifetime in seconds (default 3600; negative: already expired)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
