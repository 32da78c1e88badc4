"""Starts the build of seed 002 in seed002/: three FastAPI services, one worker, PostgreSQL, Redis, RabbitMQ."""

import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.peers.closed_loop import post
from bench.peers.peer import HERE, Peer
from bench.peers.programs import Programs, free_ports
from bench.peers.servers import start_postgresql, start_rabbitmq, start_redis
from bench.peers.workload import DATA, USERS
from bench.provider_client import Provider


@dataclass(frozen=True)
class Variant:
    """What can be chosen."""

    prefetch: int = 1
    worker_renders: bool = False

    @property
    def name(self) -> str:
        return f"seed 002, prefetch {self.prefetch}" + (", worker renders" if self.worker_renders else "")


class Seed002(Peer):
    """Adds the request."""

    def request(self, number: int) -> bytes:
        body = {"user_id": f"user-{number % USERS}", "template_key": "ORDER_CONFIRMATION", "message_data": DATA}
        return post("/v1/notifications", orjson.dumps(body), {"x-idempotency-key": str(uuid.uuid4())})


@contextmanager
def running_seed002(folder: Path, python: Path, provider: Provider, variant: Variant) -> Iterator[Seed002]:
    """Up, and stopped at the end whatever happens."""
    programs, ports = Programs(folder), free_ports()
    try:
        yield _start(programs, ports, python, provider, variant)
    finally:
        programs.stop()


def _start(programs: Programs, ports: Iterator[int], python: Path, provider: Provider, variant: Variant) -> Seed002:
    database, cache, queue = (start(programs, ports) for start in (start_postgresql, start_redis, start_rabbitmq))
    gateway, users, templates = next(ports), next(ports), next(ports)
    peer = Seed002(
        name=variant.name,
        port=gateway,
        provider=provider,
        programs=programs,
        python=python,
        database_port=database,
    )
    peer.database("create", HERE / "seed002" / "schema.sql")
    settings = {
        "NEON_DATABASE_URL": peer.dsn,
        "REDIS_URL": f"redis://127.0.0.1:{cache}/0",
        "RABBITMQ_URL": f"amqp://guest:guest@127.0.0.1:{queue}/",
        "USER_SERVICE_URL": f"http://127.0.0.1:{users}",
        "TEMPLATE_SERVICE_URL": f"http://127.0.0.1:{templates}",
        "SENDGRID_BASE_URL": provider.url,
        "INTERNAL_API_SECRET": secrets.token_urlsafe(32),
        "PREFETCH_COUNT": str(variant.prefetch),
        "WORKER_RENDERS": str(variant.worker_renders).lower(),
    }
    peer.start_service("user-service", "seed002.user_service:app", users, settings)
    peer.start_service("template-service", "seed002.template_service:app", templates, settings)
    peer.start_service("gateway", "seed002.gateway:app", gateway, settings)
    peer.start_worker(["-m", "seed002.email_worker"], settings)
    return peer
