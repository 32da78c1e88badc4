import json
from datetime import timedelta

import pytest

from shared.domain.address import Devices, DeviceToken
from shared.domain.content import PushContent, SmsContent
from shared.domain.errors import Rejected
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Lane
from shared.ports import OutboundMessage
from shared.providers.push_payload import apns_headers, apns_payload, fcm_message
from tests.unit.providers.recording_client import NOW

ATTEMPT = AttemptId("acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.push.1")


def message(content=None, **fields) -> OutboundMessage:
    address = Devices((DeviceToken("fcm", "a"),))
    return OutboundMessage(ATTEMPT, "push", address, content or PushContent("t", "b"), "security", **fields)


@pytest.mark.parametrize(
    ("lane", "android", "apns"), [(Lane.HIGH, "HIGH", "10"), (Lane.NORMAL, None, None), (Lane.LOW, "NORMAL", "5")]
)
def test_the_lane_becomes_the_platforms_priority(lane, android, apns):
    said = fcm_message(message(lane=lane), NOW)

    assert said.get("android", {}).get("priority") == android
    assert said.get("apns", {}).get("headers", {}).get("apns-priority") == apns
    assert apns_headers(message(lane=lane)).get("apns-priority") == apns


@pytest.mark.parametrize(
    ("left", "ttl"),
    [(timedelta(seconds=90.9), "90s"), (timedelta(0), "0s"), (-timedelta(hours=1), "0s"), (timedelta(40), "2419200s")],
)
def test_what_expires_is_kept_no_longer_by_the_platform(left, ttl):
    said = fcm_message(message(expires_at=NOW + left), NOW)

    assert said["android"]["ttl"] == ttl
    assert said["apns"]["headers"]["apns-expiration"] == str(int((NOW + left).timestamp()))


def test_a_collapse_key_travels_to_both_platforms():
    said = fcm_message(message(PushContent("t", "b", {}, "score")), NOW)

    assert said["android"]["collapse_key"] == said["apns"]["headers"]["apns-collapse-id"] == "score"


def test_nothing_special_says_nothing_special():
    assert set(fcm_message(message(), NOW)) == {"notification", "data"}
    assert apns_headers(message()) == {}


def test_content_can_not_take_the_place_of_what_is_ours():
    taken = message(PushContent("t", "b", {"attempt_id": "x", "aps": "y"}))

    assert fcm_message(taken, NOW)["data"]["attempt_id"] == ATTEMPT
    assert json.loads(apns_payload(taken)) == {"attempt_id": ATTEMPT, "aps": {"alert": {"title": "t", "body": "b"}}}


@pytest.mark.parametrize("build", [lambda large: fcm_message(large, NOW), apns_payload], ids=["fcm", "apns"])
def test_what_a_platform_would_drop_in_silence_is_refused(build):
    build(message(PushContent("t", "b" * 3900)))
    with pytest.raises(Rejected, match="content_too_large"):
        build(message(PushContent("t", "b" * 4096)))


def test_other_content_is_another_channels():
    with pytest.raises(Rejected, match="wrong_channel"):
        fcm_message(message(SmsContent("x")), NOW)
