"""A peer's database, run with the peers' interpreter: ``create SCHEMA`` makes the tables, ``count`` counts sent rows.

The address comes from DATABASE_DSN. A schema with a templates table gets the mail template.
"""

import os
import sys
from pathlib import Path

import psycopg2
from mail_template import TEMPLATE_KEY, sources

_INSERT = """
    INSERT INTO templates (template_key, subject, body, html_body)
    VALUES (%(key)s, %(subject)s, %(body)s, %(html_body)s)
"""


def create(schema: Path) -> None:
    with psycopg2.connect(os.environ["DATABASE_DSN"]) as connection, connection.cursor() as cursor:
        cursor.execute(schema.read_text(encoding="utf-8"))
        cursor.execute("SELECT to_regclass('templates') IS NOT NULL")
        if cursor.fetchone()[0]:
            cursor.execute(_INSERT, {"key": TEMPLATE_KEY, **sources()})


def count() -> int:
    with psycopg2.connect(os.environ["DATABASE_DSN"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notification_status WHERE status = 'sent'")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["create", schema_path]:
            create(Path(schema_path))
        case ["count"]:
            print(count())
        case _:
            sys.exit(__doc__)
