import itertools
import json

from bench.load_plan import MIXED, Plan, RequestMaker, Stream
from bench.load_result import Load, Request


def _plan(*streams, seed=1):
    return Plan(7071, {"authorization": "Bearer t"}, list(streams), "http://127.0.0.1:9", seed)


def _requests(stream, count, seed=1):
    return list(itertools.islice(RequestMaker(_plan(stream, seed=seed), stream), count))


def _body(raw):
    return json.loads(raw.partition(b"\r\n\r\n")[2])


def test_a_plan_survives_its_journey_to_the_generator():
    plan = _plan(Stream("high", rate=20.0, seconds=2.0, lane="high"), Stream("low", count=3, channels=MIXED))

    assert Plan.from_json(plan.to_json()) == plan


def test_every_request_has_its_own_recipient_and_announces_its_length():
    first, second = _requests(Stream("s", first_number=5), 2)
    head, _, body = first.partition(b"\r\n\r\n")

    assert [_body(raw)["recipient"]["email"] for raw in (first, second)] == ["user5@example.com", "user6@example.com"]
    assert f"content-length: {len(body)}".encode() in head
    assert b"idempotency-key" not in head


def test_a_batch_holds_so_many_items_and_the_next_goes_on_behind_it():
    first, second = _requests(Stream("s", batch_items=3), 2)

    assert first.startswith(b"POST /api/v1/notifications/batch ")
    assert [item["recipient"]["customerId"] for item in _body(second)["notifications"]] == ["c3", "c4", "c5"]


def test_keys_differ_and_follow_from_the_seed():
    stream = Stream("s", with_key=True)

    def keys(seed):
        return [raw.partition(b"idempotency-key: ")[2][:36] for raw in _requests(stream, 2, seed)]

    assert keys(1) == keys(1)
    assert keys(1) != keys(2)
    assert len(set(keys(1))) == 2


def test_lane_channel_wait_and_instant_are_asked_for():
    stream = Stream("s", lane="high", channels=MIXED, wait_seconds=9, send_at="2026-11-24T23:00:00+00:00")
    raw = _requests(stream, 4)

    assert b"prefer: wait=9" in raw[0]
    assert {_body(each)["channels"][0] for each in raw} == set(MIXED)
    assert {_body(each)["priority"] for each in raw} == {"high"}
    assert _body(raw[0])["sendAt"] == "2026-11-24T23:00:00+00:00"


def test_a_load_knows_what_was_accepted_and_when_it_was_due():
    answer = {"items": [{"index": 0, "trackingId": "A"}, {"index": 1, "problem": {}}]}
    requests = [
        Request(1.0, 1.5, 207, json.dumps(answer).encode()),
        Request(2.0, 2.1, 202, b'{"trackingId":"B"}'),
        Request(3.0, 3.1, 503, b"busy"),
        Request(4.0, 4.1, 0, b"gone"),
    ]

    load = Load.from_json(Load(0.0, 5.0, 0.1, {"s": requests}).to_json())

    assert load.submitted_at("s") == {"A": 1.0, "B": 2.0}
    assert [round(each, 3) for each in load.latencies("s")] == [0.5, 0.1]
    assert load.refusals() == {"503 busy": 1, "0 gone": 1}
