"""Real processes: the host with a sample app, the Service Bus emulator, the Cosmos DB emulator; all on free ports."""

import json
import secrets
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from local_azure.tests.functions_host.part_process import APPS, HostProcess, PartProcess


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return _free_port


@pytest.fixture(scope="module")
def start_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., HostProcess]]:
    """`start_host("bus_app", workers=2, SETTING="value")`; every host ends with the module."""
    with ExitStack() as stack:

        def start(
            app: str | Path, *, data: Path | None = None, port: int = 0, admin_port: int = 0, **options: Any
        ) -> HostProcess:
            folder = tmp_path_factory.mktemp("host") / "data" if data is None else data
            host = HostProcess(APPS / app, folder, port=port, admin_port=admin_port, **options)
            stack.callback(host.end)
            return host

        yield start


class Broker(PartProcess):
    """The Service Bus emulator with given entities."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(
            "local_azure.servicebus",
            *("--port", str(port), "--admin-port", "0"),
            *("--config", str(folder / "config.json"), "--data", str(folder / "data")),
            log=folder / "broker.log",
        )
        self.connection_string = connection_string(port)


def connection_string(port: int) -> str:
    return (
        f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=RootManageSharedAccessKey;"
        "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
    )


ENTITIES = {
    "UserConfig": {
        "Namespaces": [
            {
                "Name": "sbemulatorns",
                "Queues": [
                    {"Name": "orders", "Properties": {"LockDuration": "PT5S", "MaxDeliveryCount": 3}},
                    {"Name": "long", "Properties": {"LockDuration": "PT2S", "MaxDeliveryCount": 3}},
                    {"Name": "outbox", "Properties": {}},
                ],
                "Topics": [
                    {
                        "Name": "events",
                        "Properties": {},
                        "Subscriptions": [{"Name": "audit", "Properties": {"MaxDeliveryCount": 3}}],
                    }
                ],
            }
        ],
        "Logging": {"Type": "File"},
    }
}


@pytest.fixture(scope="module")
def start_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Broker]]:
    """`start_broker()`, or `start_broker(folder, port)` for one that comes back with its data."""
    with ExitStack() as stack:

        def start(folder: Path | None = None, port: int | None = None) -> Broker:
            folder = tmp_path_factory.mktemp("broker") if folder is None else folder
            (folder / "config.json").write_text(json.dumps(ENTITIES))
            broker = Broker(folder, _free_port() if port is None else port)
            stack.callback(broker.end)
            return broker

        yield start


class Account(PartProcess):
    """The Cosmos DB emulator with one database."""

    def __init__(self, folder: Path, port: int, key: str) -> None:
        super().__init__(
            "local_azure.cosmos",
            *("--port", str(port), "--data", str(folder / "data"), "--topology", str(folder / "topology.json")),
            log=folder / "account.log",
            environment={"COSMOS_KEY": key},
        )
        self.url, self.key = f"http://127.0.0.1:{port}/", key
        self.connection_string = f"AccountEndpoint={self.url};AccountKey={key};"


@pytest.fixture(scope="module")
def start_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Account]]:
    """`start_account()`, or `start_account(folder, port, key)` for one that comes back with its data."""
    with ExitStack() as stack:

        def start(folder: Path | None = None, port: int | None = None, key: str | None = None) -> Account:
            folder = tmp_path_factory.mktemp("account") if folder is None else folder
            containers = [{"id": name, "partitionKey": "/pk"} for name in ("items", "other")]
            (folder / "topology.json").write_text(json.dumps({"database": "shop", "containers": containers}))
            fresh_key = b64encode(secrets.token_bytes(64)).decode() if key is None else key
            account = Account(folder, _free_port() if port is None else port, fresh_key)
            stack.callback(account.end)
            return account

        yield start
