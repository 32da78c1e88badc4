"""A database file that the engine cannot use is refused with a message that says what to do."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from local_azure.functions_host.durable.store import Store
from local_azure.functions_host.durable.writer import StoreUnusable
from local_azure.tests.durable.conftest import running_hub
from local_azure.tests.functions_host.part_process import APPS, ROOT

FILE = "tests.durable.sqlite3"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def refusal(folder: Path) -> str:
    with pytest.raises(StoreUnusable) as raised:
        Store(folder, "tests", synchronous="NORMAL").open()
    return str(raised.value)


def run_host(app: Path, data: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_azure.functions_host", "--app", str(app), "--data", str(data)]
    return subprocess.run(  # noqa: S603 - our own module
        [*command, "--port", "0", "--admin-port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_new_file_has_the_version_and_one_without_it_is_taken_when_its_tables_are_ours(tmp_path):
    async with running_hub(tmp_path) as hub:
        assert await hub.output("say_hello", "Ada") == "Hello Ada"
    assert version(tmp_path / FILE) == 1
    change(tmp_path / FILE, "PRAGMA user_version = 0")

    async with running_hub(tmp_path) as hub:
        assert len(await hub.client.get_status_all()) == 1

    assert version(tmp_path / FILE) == 1


def test_a_newer_version_is_refused_by_number(tmp_path):
    change(tmp_path / FILE, "PRAGMA user_version = 7")

    assert "has version 7 of the durable task hub's tables, this engine has 1" in refusal(tmp_path)


def test_other_tables_are_refused_by_name(tmp_path):
    change(tmp_path / FILE, "CREATE TABLE inst (id TEXT PRIMARY KEY, name TEXT)")

    text = refusal(tmp_path)

    assert "table inst has the columns id, name" in text
    assert "Move the file away" in text


def test_what_is_no_database_ends_the_host_with_2(tmp_path):
    folder = tmp_path / "durable"
    folder.mkdir()
    (folder / FILE).write_bytes(b"this is not a database, not at all" * 100)
    ended = run_host(APPS / "durable_app", tmp_path)

    assert ended.returncode == 2, ended.stderr
    assert f"{FILE} cannot be used as the durable task hub's database: file is not" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_hub_name_that_is_no_file_name_ends_the_host_with_2(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    (app / "function_app.py").write_text((APPS / "durable_app" / "function_app.py").read_text())
    (app / "host.json").write_text('{"version": "2.0", "extensions": {"durableTask": {"hubName": "../up"}}}')

    ended = run_host(app, tmp_path / "data")

    assert ended.returncode == 2, ended.stderr
    assert "a task hub's name (hubName in host.json) has only letters, digits" in ended.stderr
    assert "Traceback" not in ended.stderr
