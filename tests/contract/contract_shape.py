"""What a contract says about a provider, and what all of them have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared import providers
from shared.domain.identifiers import AttemptId
from shared.domain.receipt import ReceiptKind
from shared.ports import OutboundMessage, Provider, ReceiptRequest
from tests.contract.wires import HttpWire, SmtpWire

SAMPLES = Path(__file__).parent.parent / "receipts"
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class ReceiptContract:
    """``signs_body`` and ``signs_time`` are what the vendor's signature covers; some send a shared key instead."""

    sign: Callable[[bytes, datetime], ReceiptRequest]
    sample: bytes
    kinds: tuple[ReceiptKind, ...]
    unknown: bytes
    not_ours: Callable[[ReceiptRequest], ReceiptRequest]
    malformed: bytes
    signs_time: bool = True
    signs_body: bool = True


@dataclass(frozen=True)
class Contract:
    """One provider. ``accepted`` and ``rejected`` are the vendor's answers, in the form its wire plays them."""

    factory: providers.ProviderFactory
    message: OutboundMessage
    accepted: tuple[int, Mapping[str, str], bytes] = (200, {}, b"")
    message_id: str | None = None
    rejected: tuple[int, bytes] = (400, b"")
    unauthorised: int | None = 401
    receipts: ReceiptContract | None = None
    delivered: bool = False
    wire: type[HttpWire | SmtpWire] = HttpWire
    hurry: Callable[[Provider, timedelta], None] = lambda _, timeout: None  # HTTP is hurried by its client


def message(channel, address, content) -> OutboundMessage:
    attempt_id = AttemptId(f"acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.{channel}.1")
    return OutboundMessage(attempt_id, channel, address, content, "transactional")
