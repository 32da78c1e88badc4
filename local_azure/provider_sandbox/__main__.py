"""python -m local_azure.provider_sandbox: starts the sandbox."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from local_azure.provider_sandbox.http_exchange import Handler
from local_azure.provider_sandbox.listener import run
from local_azure.provider_sandbox.sandbox import open_sandbox
from local_azure.provider_sandbox.settings import SettingsError, read_settings
from local_azure.provider_sandbox.smtp_listener import listening


def main() -> int:
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    @contextlib.asynccontextmanager
    async def lifetime(port: int) -> AsyncIterator[Handler]:
        settings = read_settings(os.environ)
        async with (
            open_sandbox(settings, arguments.data, port, arguments.receipt_delay_ms) as sandbox,
            listening(sandbox.smtp, arguments.smtp_port) as smtp_port,
        ):
            if smtp_port is not None:
                print(f"mail: smtp://127.0.0.1:{smtp_port}", flush=True)
            yield sandbox.route

    try:
        return run("provider sandbox", arguments.port, lifetime)
    except (SettingsError, OSError) as error:
        print(f"provider sandbox: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_azure.provider_sandbox",
        description="Plays mail, SMS and push providers, customers and consumers; the inbox is at /.",
        epilog="Credentials and receipt secrets come from the environment; see local_azure/provider_sandbox/README.md.",
    )
    parser.add_argument(
        "--port", type=int, default=7080, help="HTTP port on 127.0.0.1 (default 7080; 0 takes a free one)"
    )
    parser.add_argument(
        "--smtp-port", type=int, help="SMTP port on 127.0.0.1 (without it no mail is taken; 0 takes a free one)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".local/provider_sandbox"),
        help="folder that keeps ledger, receipts, callbacks",
    )
    parser.add_argument(
        "--receipt-delay-ms", type=int, default=300, help="time from acceptance to the delivered receipt (default 300)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
