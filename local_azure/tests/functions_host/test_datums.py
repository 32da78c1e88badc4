"""Payloads of the wire through the official converters."""

from datetime import UTC, datetime, timedelta

from azure.functions import get_binding_registry
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp.message import Header, Message, Properties  # to make a message as if received

from local_azure.functions_host.datums import READERS
from local_azure.functions_host.servicebus_message import application_properties, message_payload, messages_payload


def received(
    body: list[bytes] | None = None, *, ttl: int | None = None, **properties: object
) -> ServiceBusReceivedMessage:
    raw = Message(
        data=[b"hello"] if body is None else body,
        header=Header(delivery_count=2, ttl=ttl),
        properties=Properties(message_id=b"m-1", subject=b"s"),
        application_properties=properties or None,
        message_annotations={
            b"x-opt-enqueued-time": 1_790_000_000_123,
            b"x-opt-locked-until": 1_790_000_030_000,
            b"x-opt-sequence-number": 42,
        },
    )
    return ServiceBusReceivedMessage(raw, receiver=None)


def decode(kind: str, payload: tuple) -> object:
    [(name, datum)], metadata = READERS[kind](payload)
    assert name == payload[0]
    return get_binding_registry().get("serviceBusTrigger").decode(datum, trigger_metadata=metadata)


def test_one_message_keeps_its_fields():
    message = decode("message", message_payload("msg", received([b"he", b"llo"], ttl=3_600_000, a=1)))

    assert message.get_body() == b"hello"
    assert (message.message_id, message.subject, message.label) == ("m-1", "s", "s")
    assert (message.delivery_count, message.sequence_number) == (3, 42)
    assert message.enqueued_time_utc == datetime(2026, 9, 21, 14, 13, 20, 123000, tzinfo=UTC)
    assert message.locked_until == datetime(2026, 9, 21, 14, 13, 50, tzinfo=UTC)
    assert message.expires_at_utc == datetime(2026, 9, 21, 15, 13, 20, tzinfo=UTC)
    assert message.time_to_live == timedelta(hours=1)
    assert message.application_properties == message.user_properties == {"a": 1}
    assert message.metadata["SequenceNumber"] == 42


def test_a_message_without_ttl_or_properties():
    message = decode("message", message_payload("msg", received()))

    assert message.time_to_live is None
    assert message.expires_at_utc is None
    assert message.application_properties == {}


def test_many_messages_keep_their_order_and_fields():
    payload = messages_payload("msgs", [received([f"{n}".encode()], n=n) for n in range(3)])

    messages = decode("messages", payload)

    assert [message.get_body() for message in messages] == [b"0", b"1", b"2"]
    assert [message.user_properties for message in messages] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [message.application_properties for message in messages] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert {message.delivery_count for message in messages} == {3}
    assert messages[0].enqueued_time_utc == datetime(2026, 9, 21, 14, 13, 20, 123000, tzinfo=UTC)
    assert messages[0].correlation_id is None


def test_property_values_become_json():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    given = {b"text": b"x", b"bytes": b"\xff", b"when": moment, b"nested": [1, {b"a": b"b"}]}

    plain = application_properties(_with_properties(given))

    assert plain["text"] == "x"
    assert plain["bytes"] == "/w=="
    assert plain["when"] == "2026-01-01T00:00:00+00:00"
    assert plain["nested"] == [1, {"a": "b"}]


def _with_properties(properties: dict) -> ServiceBusReceivedMessage:
    return ServiceBusReceivedMessage(Message(data=[b""], application_properties=properties), receiver=None)


def test_an_http_request_is_decoded():
    payload = ("req", "POST", "http://h/api/x?q=1", {"content-type": "a/b"}, {"id": "7"}, {"q": "1"}, b"\x00body")
    [(_, datum)], metadata = READERS["http"](payload)

    request = get_binding_registry().get("httpTrigger").decode(datum, trigger_metadata=metadata)

    assert (request.method, request.url, request.get_body()) == ("POST", "http://h/api/x?q=1", b"\x00body")
    assert request.headers["Content-Type"] == "a/b"
    assert (dict(request.route_params), dict(request.params)) == ({"id": "7"}, {"q": "1"})
