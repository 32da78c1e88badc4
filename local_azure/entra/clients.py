"""The client applications that may ask for tokens.

`clients.json` in the data folder is made with random secrets on first use and may be edited afterwards.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from local_azure.entra.identities import CLIENT_IDS, ROLES_OF_CLIENT
from local_azure.entra.private_files import folder_lock, write_private_file


class ClientsFileError(ValueError):
    """clients.json cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Client:
    """One application. `roles` are what its tokens carry."""

    name: str
    client_id: str
    client_secret: str
    roles: list[str]

    def accepts(self, secret: str) -> bool:
        return hmac.compare_digest(self.client_secret.encode(), secret.encode())


def read_clients(data: Path) -> list[Client]:
    """The clients of a data folder. Raises: ClientsFileError."""
    file = data / "clients.json"
    if not file.exists():
        with folder_lock(data):
            if not file.exists():
                _make(file)
    try:
        return [Client(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise ClientsFileError(f"{file}: a list of objects with name, client_id, client_secret and roles") from error


def find_client(clients: list[Client], name_or_id: str) -> Client | None:
    return next((client for client in clients if name_or_id in (client.name, client.client_id)), None)


def _make(file: Path) -> None:
    clients = [
        Client(name, client_id, secrets.token_urlsafe(32), list(ROLES_OF_CLIENT[name]))
        for name, client_id in CLIENT_IDS.items()
    ]
    write_private_file(file, json.dumps([asdict(client) for client in clients], indent=2).encode())
