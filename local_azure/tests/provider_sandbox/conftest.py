"""Starts the sandbox as a process, and plays the service that takes its receipts."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ROOT = Path(__file__).parents[3]
SENDGRID_API_KEY = "SG.test-key"
ACCOUNT_SID = "AC0123456789abcdef0123456789abcdef"
AUTH_TOKEN = "test-auth-token"
WHATSAPP_SID = "AC00000000000000000000000000000077"
WHATSAPP_TOKEN = "test-whatsapp-token"
FCM_KEY = rsa.generate_private_key(65537, 2048)
ACCESS_KEY = base64.b64encode(b"access key of the tests").decode()
RECEIPT_KEY = "receipt-key-of-the-tests-32-chars"
SMTP_USER, SMTP_PASSWORD = "mailer", "secret of the mailer"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes!").decode()


@dataclass
class Arrived:
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ReceiptTaker:
    """The service's receipt endpoints: remembers posts, answers `status`."""

    server: ThreadingHTTPServer
    status: int = 200
    arrived: list[Arrived] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def events(self) -> list[dict[str, Any]]:
        return [event for post in self.arrived if post.path.endswith("/sendgrid") for event in post.json()]


@pytest.fixture(scope="session")
def receipt_taker() -> Iterator[ReceiptTaker]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taker.arrived.append(Arrived(self.path, dict(self.headers), body))
            self.send_response(taker.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    taker = ReceiptTaker(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield taker
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service(receipt_taker: ReceiptTaker) -> ReceiptTaker:
    receipt_taker.arrived.clear()
    receipt_taker.status = 200
    return receipt_taker


@pytest.fixture(scope="session")
def receipt_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def environment(receipt_taker: ReceiptTaker, receipt_key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    pem = receipt_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "SENDGRID_API_KEY": SENDGRID_API_KEY,
        "SENDGRID_RECEIPT_PRIVATE_KEY": pem,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "NOTIFICATION_HUBS_CONNECTION": "Endpoint=sb://x.example/;SharedAccessKeyName=Full;SharedAccessKey=hub-key",
        "NOTIFICATION_HUBS_RECEIPT_SECRET": WEBHOOK_SECRET,
        "ACS_EMAIL_CONNECTION": f"endpoint=http://127.0.0.1/;accesskey={ACCESS_KEY}",
        "ACS_EMAIL_RECEIPT_KEY": RECEIPT_KEY,
        "ACS_SMS_CONNECTION": f"endpoint=http://127.0.0.1/;accesskey={ACCESS_KEY}",
        "ACS_SMS_RECEIPT_KEY": RECEIPT_KEY,
        "SMTP_USERNAME": SMTP_USER,
        "SMTP_PASSWORD": SMTP_PASSWORD,
        "FCM_PUBLIC_KEY": FCM_KEY.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        "FCM_RECEIPT_SECRET": WEBHOOK_SECRET,
        "TWILIO_WHATSAPP_ACCOUNT_SID": WHATSAPP_SID,
        "TWILIO_WHATSAPP_AUTH_TOKEN": WHATSAPP_TOKEN,
        "WEBHOOK_SIGNING_SECRET": WEBHOOK_SECRET,
        "RECEIPTS_URL": receipt_taker.url,
    }


class SandboxProcess:
    """One running sandbox."""

    def __init__(self, data: Path, environment: dict[str, str], *arguments: str) -> None:
        command = [sys.executable, "-m", "local_azure.provider_sandbox", "--port", "0", "--data", str(data), *arguments]
        self.data = data
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        self.smtp_port = 0
        if ready.startswith("mail: smtp://127.0.0.1:"):
            self.smtp_port = int(ready.rpartition(":")[2])
            ready = self.process.stdout.readline()
        assert ready.startswith("ready: provider sandbox on http://127.0.0.1:"), ready
        self.url = ready.split()[-1]

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=10, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=10, **options)

    def put(self, path: str, content: Any) -> requests.Response:
        return requests.put(self.url + path, json=content, timeout=10)

    def delete(self, path: str) -> requests.Response:
        return requests.delete(self.url + path, timeout=10)

    def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.get(f"/ledger?since={since}").text.splitlines()]

    def messages(self, **query: Any) -> list[dict[str, Any]]:
        return self.get("/messages.json", params=query).json()["messages"]

    def send_email(self, *recipients: str, **fields: Any) -> requests.Response:
        return self.post("/v3/mail/send", json=mail(*recipients, **fields), headers=SENDGRID_HEADERS)

    def end(self, how: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


SENDGRID_HEADERS = {"Authorization": f"Bearer {SENDGRID_API_KEY}"}


def mail(*recipients: str, **fields: Any) -> dict[str, Any]:
    """A valid mail/send body, one personalization per recipient, attempt id `attempt-<recipient>`."""
    people = [{"to": [{"email": to}], "custom_args": {"attempt_id": f"attempt-{to}"}} for to in recipients]
    content = [{"type": "text/plain", "value": "Hello"}, {"type": "text/html", "value": "<p>Hello</p>"}]
    body = {"personalizations": people, "from": {"email": "shop@example.com"}, "subject": "Order", "content": content}
    return body | fields


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[SandboxProcess]:
    process = SandboxProcess(
        tmp_path_factory.mktemp("sandbox"), environment, "--receipt-delay-ms", "20", "--smtp-port", "0"
    )
    yield process
    process.end()


@pytest.fixture
def sandbox(running: SandboxProcess) -> SandboxProcess:
    """The shared sandbox, without faults and with an empty inbox; its ledger goes on."""
    running.delete("/faults")
    running.delete("/messages.json")
    return running


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., SandboxProcess]]:
    """Starts further sandboxes on the test's own data folder."""
    started: list[SandboxProcess] = []

    def start_one(*arguments: str, **changes: str) -> SandboxProcess:
        started.append(SandboxProcess(tmp_path, environment | changes, "--receipt-delay-ms", "20", *arguments))
        return started[-1]

    yield start_one
    for process in started:
        process.end(signal.SIGKILL)


def eventually(claim: Callable[[], Any], seconds: float = 5) -> Any:
    """The claim's value as soon as it is true; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = claim()
        if value:
            return value
        assert time.monotonic() < deadline, "did not become true in time"
        time.sleep(0.01)
