"""What is written stays written: the ledger and pending receipts across SIGKILL, back-off while the service is away."""

from __future__ import annotations

import signal
import socket
import threading

from local_azure.provider_sandbox.ledger import Ledger

from .conftest import eventually


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def test_every_answered_call_is_in_the_ledger_after_a_kill(start):
    sandbox = start()
    answered = []

    def send_until_killed(worker):
        number = 0
        while True:
            recipient = f"w{worker}-{number}@example.com"
            try:
                sandbox.send_email(recipient)
            except OSError:
                return
            answered.append(recipient)
            number += 1

    senders = [threading.Thread(target=send_until_killed, args=(worker,)) for worker in range(4)]
    for sender in senders:
        sender.start()
    eventually(lambda: len(answered) > 100)
    sandbox.end(signal.SIGKILL)
    for sender in senders:
        sender.join()

    lines = start().ledger()
    assert set(answered) <= {line["recipient"] for line in lines}
    assert len(lines) <= len(answered) + len(senders), "only calls under way may be unanswered"


def test_receipts_that_were_pending_at_a_kill_are_sent_by_the_next_start(start, service):
    away = f"http://127.0.0.1:{free_port()}"
    sandbox = start(RECEIPTS_URL=away)
    sandbox.send_email("ann@example.com")
    assert sandbox.get("/health").json()["receiptsPending"] == 2
    sandbox.end(signal.SIGKILL)
    lines = (sandbox.data / "pending_receipts.jsonl").read_text().replace(away, service.url)
    (sandbox.data / "pending_receipts.jsonl").write_text(lines)  # the service comes back at another port in this test

    again = start()
    eventually(lambda: len(service.events()) == 2)

    assert {event["attempt_id"] for event in service.events()} == {"attempt-ann@example.com"}
    assert eventually(lambda: again.get("/health").json()["receiptsPending"] == 0) is True


def test_receipts_that_the_service_refuses_are_tried_again_with_the_same_event_ids(start, service):
    service.status = 503
    sandbox = start()
    sandbox.send_email("ann@example.com")
    eventually(lambda: service.arrived)

    service.status = 200
    eventually(lambda: sandbox.get("/health").json()["receiptsPending"] == 0)

    tries = [(event["event"], event["sg_event_id"]) for event in service.events()]
    assert len(set(tries)) == 2
    assert len(tries) > 2
    history = sandbox.messages()[0]["history"]
    assert [(step["step"], step["receiptTaken"]) for step in history] == [("sent", True), ("delivered", True)]


def test_receipts_wait_for_a_service_that_is_not_there_yet(start, service):
    port = free_port()
    sandbox = start(RECEIPTS_URL=f"http://127.0.0.1:{port}")
    sandbox.send_email("ann@example.com")
    eventually(lambda: sandbox.messages()[0]["state"] == "delivered")

    shown = sandbox.messages()[0]
    assert [step["receiptTaken"] for step in shown["history"]] == [False, False]
    assert sandbox.get("/health").json()["receiptsPending"] == 2


def test_without_signing_secrets_nothing_is_posted_and_states_still_move(start, service):
    sandbox = start(SENDGRID_RECEIPT_PRIVATE_KEY="")
    sandbox.send_email("ann@example.com")
    eventually(lambda: sandbox.messages()[0]["state"] == "delivered")

    assert sandbox.get("/health").json()["receiptsPending"] == 0
    assert service.arrived == []


def test_the_ledger_is_read_from_any_line(sandbox):
    sandbox.send_email("ann@example.com", "bob@example.com")
    lines = sandbox.ledger()

    whole = sandbox.get("/ledger")
    assert whole.headers["Content-Type"] == "application/x-ndjson"
    assert int(whole.headers["X-Ledger-Lines"]) == len(lines)
    assert sandbox.ledger(since=len(lines) - 1) == lines[-1:]
    assert sandbox.ledger(since=len(lines) + 5) == []
    assert sandbox.get("/ledger?since=x").status_code == 400


def test_the_summary_counts_duplicates_per_attempt(start):
    sandbox = start()
    for recipient in ("ann@example.com", "ann@example.com", "reject@example.com", "reject@example.com"):
        sandbox.send_email(recipient)

    summary = sandbox.get("/ledger/summary").json()

    assert summary["providers"]["sendgrid"] == {
        "calls": 4,
        "recipients": 4,
        "accepted": 2,
        "peakCallsInOneSecond": 4,
        "outcomes": {"delivered": 2, "reject": 2},
    }
    assert summary["duplicates"]["seen"]["count"] == 2
    assert summary["duplicates"]["accepted"]["attemptIds"] == {"attempt-ann@example.com": 2}


def test_the_peak_is_the_most_calls_within_any_second(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for second in ("10.000000", "10.300000", "10.999999", "11.000000", "11.200000", "13.000000"):
        line = {"at": f"2026-11-24T22:00:{second}Z", "provider": "twilio", "attemptId": None, "outcome": "delivered"}
        ledger.append([line | {"accepted": True, "part": part} for part in range(2)])

    counts = ledger.summary()["providers"]["twilio"]

    assert (counts["peakCallsInOneSecond"], counts["calls"], counts["recipients"]) == (4, 6, 12)
    ledger.close()


async def test_a_torn_last_line_is_cut_off_and_the_index_finds_every_line(tmp_path):
    file = tmp_path / "ledger.jsonl"
    ledger = Ledger(file)
    for number in range(0, 5000, 50):
        ledger.append([{"n": n} for n in range(number, number + 50)])
    ledger.close()
    with file.open("ab") as lines:
        lines.write(b'{"n": 50')

    ledger = Ledger(file)
    ledger.append([{"n": 5000}])

    assert ledger.lines == 5001
    for since in (0, 1, 1023, 1024, 1025, 4999, 5000):
        first = b"".join([block async for block in ledger.read(since)]).partition(b"\n")[0]
        assert first == b'{"n":%d}' % since
    assert b"".join([block async for block in ledger.read(5001)]) == b""
    ledger.close()
