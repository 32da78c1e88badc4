"""Starts the Celery pipeline in celery_pipeline/: FastAPI, Redis as broker, two forked workers, PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from bench.peers.closed_loop import post
from bench.peers.peer import HERE, Peer
from bench.peers.programs import Programs, free_ports
from bench.peers.servers import start_postgresql, start_redis
from bench.peers.workload import DATA, USERS
from bench.provider_client import Provider

_WORKER = ("-m", "celery", "-A", "celery_pipeline.tasks", "worker", "--pool", "prefork", "--concurrency", "2")
_QUIET = ("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")


class CeleryPipeline(Peer):
    """Adds the request."""

    def request(self, number: int) -> bytes:
        body = {
            "email": f"user{number % USERS}@example.com",
            "template_key": "ORDER_CONFIRMATION",
            "message_data": DATA,
        }
        return post("/v1/notifications", orjson.dumps(body), {})


@contextmanager
def running_celery(folder: Path, python: Path, provider: Provider) -> Iterator[CeleryPipeline]:
    """Up, and stopped at the end whatever happens."""
    programs, ports = Programs(folder), free_ports()
    try:
        yield _start(programs, ports, python, provider)
    finally:
        programs.stop()


def _start(programs: Programs, ports: Iterator[int], python: Path, provider: Provider) -> CeleryPipeline:
    database, broker, api = start_postgresql(programs, ports), start_redis(programs, ports), next(ports)
    peer = CeleryPipeline(
        name="Celery pipeline",
        port=api,
        provider=provider,
        programs=programs,
        python=python,
        database_port=database,
    )
    peer.database("create", HERE / "celery_pipeline" / "schema.sql")
    settings = {
        "DATABASE_DSN": peer.dsn,
        "REDIS_URL": f"redis://127.0.0.1:{broker}/0",
        "SENDGRID_BASE_URL": provider.url,
    }
    peer.start_service("api", "celery_pipeline.api:app", api, settings)
    peer.start_worker([*_WORKER, *_QUIET], settings)
    return peer
