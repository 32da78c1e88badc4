"""The Celery pipeline's one task: render with jinja2, post with requests, keep the status row with psycopg2.

Tuned as Celery's user guide advises for short tasks: results ignored, late acknowledgement (the task may be repeated),
a high prefetch multiplier. One requests.Session and one connection for each worker process.
"""

from typing import Any

import orjson
import psycopg2
import requests
from celery import Celery
from celery.signals import worker_process_init
from celery_pipeline.config import DATABASE_DSN, REDIS_URL, SENDGRID_BASE_URL
from mail_template import MailRenderer, sendgrid_mail, sources

app = Celery("celery_pipeline", broker=REDIS_URL)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=64,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)

_UPSERT = """
    INSERT INTO notification_status (notification_id, address, status) VALUES (%s, %s, 'sent')
    ON CONFLICT (notification_id) DO UPDATE SET status = 'sent', updated_at = now()
"""
_HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json"}


class WorkerProcess:
    """What one forked worker keeps open."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.headers.update(_HEADERS)
        self._session.trust_env = False  # else .netrc and proxy settings are looked up again for every request
        self._database = psycopg2.connect(DATABASE_DSN)
        self._database.autocommit = True
        self._cursor = self._database.cursor()
        self._renderer = MailRenderer()
        self._sources = sources()

    def deliver(self, notification_id: str, address: str, data: dict[str, Any]) -> None:
        mail = sendgrid_mail(notification_id, address, self._renderer.render(self._sources, data))
        answer = self._session.post(f"{SENDGRID_BASE_URL}/v3/mail/send", data=orjson.dumps(mail), timeout=20)
        answer.raise_for_status()
        self._cursor.execute(_UPSERT, (notification_id, address))


_processes: list[WorkerProcess] = []


@worker_process_init.connect
def _open(**_: object) -> None:
    _processes.append(WorkerProcess())


@app.task(name="deliver_email", autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=5)
def deliver_email(notification_id: str, address: str, data: dict[str, Any]) -> None:
    """One email."""
    _processes[0].deliver(notification_id, address, data)
