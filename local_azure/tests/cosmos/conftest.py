"""One emulator with two ranges for all tests of this folder; a fresh container for each test."""

import importlib.util
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient, DatabaseProxy

_spec = importlib.util.spec_from_file_location("emulator_process", Path(__file__).with_name("emulator_process.py"))
emulator_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(emulator_process)


@pytest.fixture(scope="session")
def start_emulator():
    """The class that starts an emulator process, for tests that need their own."""
    return emulator_process.EmulatorProcess


@pytest.fixture(scope="session")
def account_key() -> str:
    return emulator_process.KEY


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    running = emulator_process.EmulatorProcess(tmp_path_factory.mktemp("cosmos"), "--ranges", "2")
    yield running
    assert running.stop() == 0


@pytest.fixture
async def client(emulator, account_key) -> AsyncIterator[CosmosClient]:
    async with CosmosClient(emulator.url, account_key) as opened:
        yield opened


@pytest.fixture
async def database(client) -> DatabaseProxy:
    return await client.create_database_if_not_exists("tests")


@pytest.fixture
async def container(database) -> ContainerProxy:
    return await database.create_container(uuid.uuid4().hex, PartitionKey("/pk"))
