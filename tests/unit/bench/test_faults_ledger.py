import base64
import hashlib
import hmac

import pytest

from bench.faults.ledger import Call, Evidence, Line, Listener, Post, reckon

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def call(number=1, tracking_id="A", channel="email", *, status=202, at=0.0):
    return Call(f"tenant.with.dots.{tracking_id}.{channel}.{number}", at, status)


def view(status="sent", *, channel="email", in_doubt=None, history=None):
    delivery = {"channel": channel, "status": status, "inDoubt": in_doubt}
    entries = history or [{"channel": channel, "status": status}]
    return {"status": status, "deliveries": [delivery], "history": entries}


def post(status="SENT", *, endpoint="bench", secret=SECRET):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"A.email.{status}.1.body".encode(), hashlib.sha256)).decode()
    return Post(endpoint, f"A.email.{status}", "1", f"v1,{signature}", "body", at=0.0)


def line(calls, views, accepted=("A",), **more) -> Line:
    return reckon(Evidence(accepted=accepted, views=views, calls=calls, **more))


def test_one_call_and_a_final_status_is_clean():
    found = line([call()], {"A": view()})

    assert found.broken() == []
    assert (found.accepted, found.final, found.calls) == (1, 1, 1)


def test_what_nobody_knows_any_more_is_lost():
    assert line([], {}).lost == ["A"]


def test_what_has_come_to_rest_without_an_outcome_is_lost():
    found = line([], {"A": view("accepted")})

    assert found.lost == ["A"]
    assert found.in_flight == 0


def test_what_still_moves_is_in_flight_and_tells_so():
    found = line([], {"A": view("sending")}, at_rest=False)

    assert found.lost == []
    assert found.broken() == ["1 still in flight at the end"]


@pytest.mark.parametrize("status", [None, 500])
def test_sent_without_a_provider_that_took_it_is_lost(status):
    assert line([call(status=status)], {"A": view("sent")}).lost == ["A"]


def test_failed_needs_no_provider_that_took_it():
    assert line([call(status=400)], {"A": view("failed")}).broken() == []


def test_the_same_attempt_id_twice_is_a_duplicate_even_in_doubt():
    found = line([call(), call()], {"A": view(in_doubt=True)})

    assert found.duplicates == ["tenant.with.dots.A.email.1"]


def test_another_attempt_after_acceptance_is_a_duplicate_that_nothing_explains():
    assert line([call(1), call(2)], {"A": view()}).duplicates == ["tenant.with.dots.A.email.2"]


def test_another_attempt_in_doubt_is_explained_and_counted():
    found = line([call(1, status=None), call(2)], {"A": view(in_doubt=True)})

    assert found.broken() == []
    assert found.repeated_in_doubt == 1


def test_another_attempt_after_a_refusal_is_a_retry():
    found = line([call(1, status=503), call(2)], {"A": view()})

    assert found.broken() == []
    assert found.retried == 1


def test_channels_of_one_notification_are_not_repetitions_of_each_other():
    views = {"A": {"status": "sent", "deliveries": [], "history": []}}

    assert line([call(), call(channel="sms")], views).duplicates == []


def test_a_call_for_what_nobody_was_promised_is_unasked():
    assert line([call(), call(tracking_id="B")], {"A": view()}).unasked == ["B"]


def test_every_wanted_status_must_be_called_back():
    listeners = [Listener("bench", SECRET, frozenset({"SENT", "DELIVERED"}))]
    history = [{"channel": "email", "status": each} for each in ("in_doubt", "sent", "delivered")]
    views = {"A": view("delivered", history=history)}

    found = line([call()], views, listeners=listeners, posts=[post("SENT"), post("SENT")])

    assert found.callbacks_missing == ["A.email.DELIVERED at bench"]
    assert found.callbacks_repeated == 1


def test_expired_is_called_back_as_failed():
    listeners = [Listener("bench", SECRET, frozenset({"FAILED"}))]

    assert line([], {"A": view("expired")}, listeners=listeners, posts=[post("FAILED")]).broken() == []


def test_a_signature_by_another_secret_is_bad():
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    listeners = [Listener("bench", SECRET, frozenset({"SENT"}))]

    found = line([call()], {"A": view()}, listeners=listeners, posts=[post(secret=other)])

    assert found.bad_signatures == 1
