from bench.reconcile import Reconciliation, reconcile, reconcile_callbacks, suspects


def _call(tracking_id, number=1, at=0.0):
    return (f"tenant.with.dots.{tracking_id}.email.{number}", at)


def _view(status="sent", *, in_doubt=False, history=()):
    return {"status": status, "deliveries": [{"inDoubt": in_doubt}], "history": list(history)}


def test_one_call_each_is_clean():
    verdict = reconcile(["A", "B"], [_call("A"), _call("B")], {"A": _view()})

    assert verdict.is_clean
    assert (verdict.accepted, verdict.called, verdict.strangers) == (2, 2, 0)


def test_accepted_and_never_called_is_lost_even_when_its_status_is_final():
    verdict = reconcile(["A", "B"], [_call("A")], {"B": _view("sent")})

    assert not verdict.is_clean
    assert verdict.lost == ["B"]


def test_called_without_a_final_status_is_lost():
    verdict = reconcile(["A"], [_call("A")], {"A": _view("queued")})

    assert verdict.lost == ["A"]


def test_an_attempt_called_twice_is_doubled_even_in_doubt():
    verdict = reconcile(["A"], [_call("A"), _call("A")], {"A": _view(in_doubt=True)})

    assert not verdict.is_clean
    assert verdict.attempts_called_twice == [_call("A")[0]]
    assert verdict.called_twice == []


def test_two_attempts_are_doubled_unless_in_doubt():
    calls = [_call("A", 1), _call("A", 2), _call("B", 1), _call("B", 2)]

    verdict = reconcile(["A", "B"], calls, {"A": _view(in_doubt=True), "B": _view()})

    assert verdict.called_twice == ["B"]
    assert verdict.in_doubt == ["A"]


def test_a_call_for_something_not_on_the_list_is_counted_and_forgiven():
    verdict = reconcile(["A"], [_call("A"), _call("Z")], {})

    assert verdict.is_clean
    assert verdict.strangers == 1


def test_suspects_are_those_not_called_exactly_once_in_order():
    assert suspects(["A", "B", "C", "C"], [_call("B"), _call("C"), _call("C", 2)]) == ["A", "C"]


def test_reconciliations_add_up():
    one = reconcile(["A"], [], {"A": {}})
    other = reconcile(["B"], [_call("B"), _call("B")], {"B": _view()})

    total = Reconciliation(0, 0) + one + other

    assert (total.accepted, total.called, list(total.lost)) == (2, 1, ["A"])
    assert len(total.attempts_called_twice) == 1
    assert not total.is_clean


def test_callbacks_are_held_against_the_histories():
    history = [{"channel": "email", "status": "queued"}, {"channel": "email", "status": "sent"}]
    views = {"A": _view(history=history), "B": _view(history=history)}
    callbacks = [("A.email.SENT", "1", "v1,x", "{}"), ("A.email.SENT", "2", "v1,x", "{}")]

    told = reconcile_callbacks(views, callbacks, frozenset({"SENT"}), forged=1)

    assert (told.wanted, told.missing, told.repeated, told.forged) == (2, ["B.email.SENT"], 1, 1)
