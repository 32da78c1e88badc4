"""The database's tables and their version: made in a new file, checked in one that exists.

The version is SQLite's ``user_version``. A file from before it was written (0) is taken when its tables are the
present ones. Nothing is converted: a local task hub is easily done without, and a wrong guess would lose its work.
"""

import sqlite3
from pathlib import Path

from local_azure.functions_host.durable.writer import StoreUnusable

VERSION = 1
WAY_OUT = "Move the file away (its orchestrations go with it) or start with another data folder or hubName"

_SCHEMA = """
CREATE TABLE inst (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT, status TEXT NOT NULL, input TEXT NOT NULL,
  output TEXT NOT NULL, custom TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
  execution TEXT NOT NULL, parent_id TEXT, parent_execution TEXT, parent_task INTEGER, replay TEXT NOT NULL,
  events INTEGER NOT NULL);
CREATE INDEX inst_created ON inst (created, id);
CREATE INDEX inst_updated ON inst (updated);
CREATE INDEX inst_status ON inst (status);
CREATE TABLE hist (
  id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (id, seq)) WITHOUT ROWID;
CREATE TABLE inbox (n INTEGER PRIMARY KEY, id TEXT NOT NULL, message TEXT NOT NULL);
CREATE INDEX inbox_id ON inbox (id);
CREATE TABLE work (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL, execution TEXT NOT NULL, kind TEXT NOT NULL, task INTEGER NOT NULL,
  name TEXT NOT NULL, input TEXT, due TEXT NOT NULL);
CREATE INDEX work_id ON work (id);
CREATE TABLE ent (id TEXT PRIMARY KEY, state TEXT NOT NULL, updated TEXT NOT NULL);
"""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or check that they are ours.

    Raises:
        StoreUnusable: another version of the engine, or another program, wrote the file.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    present = _shape(connection)
    if version not in (0, VERSION):
        message = f"{path} has version {version} of the durable task hub's tables, this engine has {VERSION}. {WAY_OUT}"
        raise StoreUnusable(message)
    if not present:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        return
    wrong = _difference(present, _expected_shape())
    if wrong:
        raise StoreUnusable(f"{path} was not written by this version of the durable engine ({wrong}). {WAY_OUT}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _shape(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Column names by table."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    names = [name for (name,) in tables.fetchall()]
    return {name: [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')] for name in names}


def _expected_shape() -> dict[str, list[str]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(_SCHEMA)
        return _shape(connection)
    finally:
        connection.close()


def _difference(present: dict[str, list[str]], expected: dict[str, list[str]]) -> str:
    """What is wrong first, in words; empty for nothing."""
    for table, columns in expected.items():
        if table not in present:
            return f"there is no table {table}"
        if present[table] != columns:
            return f"table {table} has the columns {', '.join(present[table])}"
    return ""
