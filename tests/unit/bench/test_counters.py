import json
import os

import pytest

from bench.counters import bus_depth, counters_from, dead_letters, depth_of
from bench.measurements.operations import audited
from bench.process_usage import cpu_seconds, difference, machine_cpu_seconds, pss_megabytes

_ENTITIES = [
    {"name": "callbacks", "kind": "queue", "active": 1, "locked": 2, "dead_letter": 3},
    {"name": "status/Subscriptions/audit", "kind": "subscription", "active": 40, "locked": 0, "dead_letter": 0},
    {"name": "status", "kind": "topic", "scheduled": 9},
]


def _counters(requests, units, invocations):
    operation = {"operation": "create", "container": "items", "requests": requests, "request_units": units}
    functions = {
        "submit": {"trigger": "httpTrigger", "invocations": invocations, "failures": 0, "total_seconds": 1.0},
        "deliver": {
            "trigger": "serviceBusTrigger",
            "invocations": 2 * invocations,
            "failures": 0,
            "total_seconds": 2.0,
        },
    }
    return counters_from({"operations": [operation], "throttled": 0}, {"functions": functions})


def test_the_difference_of_two_snapshots_is_what_happened_between_them():
    between = _counters(7, 40.5, 5).since(_counters(5, 30.0, 2))

    assert between.operations == {"create items": 2}
    assert between.total_units == pytest.approx(10.5)
    assert between.invocations == {"submit": 3, "deliver": 6}
    assert between.messages_received == 6
    assert between.wall_seconds == {}


def test_depths_leave_out_the_audit_and_dead_letters():
    assert bus_depth(_ENTITIES) == 43
    assert bus_depth(_ENTITIES, except_for="audit") == 3
    assert dead_letters(_ENTITIES) == 3
    assert depth_of(_ENTITIES, "status", "audit") == 40


def test_every_topic_gets_an_audit_subscription_and_keeps_its_own():
    topic = {"Name": "t", "Subscriptions": [{"Name": "s", "Properties": {"LockDuration": "PT1M"}, "Rules": [1]}]}
    document = {"UserConfig": {"Namespaces": [{"Name": "n", "Topics": [topic]}]}}

    subscriptions = json.loads(audited(json.dumps(document)))["UserConfig"]["Namespaces"][0]["Topics"][0][
        "Subscriptions"
    ]

    assert [(each["Name"], each["Rules"]) for each in subscriptions] == [("s", [1]), ("bench-audit", [])]


def test_the_usage_of_a_living_process_is_positive_and_of_a_dead_one_nothing():
    assert pss_megabytes(os.getpid()) > 1
    assert 0 <= cpu_seconds(os.getpid()) <= machine_cpu_seconds()
    assert (pss_megabytes(2**22 + 1), cpu_seconds(2**22 + 1)) == (0.0, 0.0)


def test_a_role_that_is_new_counts_from_nothing():
    assert difference({"app": 3.0, "new": 1.0}, {"app": 2.0}) == {"app": 1.0, "new": 1.0}
