import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from pydantic import ValidationError

from shared.channels.push import MAX_DEVICES
from shared.contracts.field_errors import field_errors, pointer_to
from shared.contracts.http_api import MAX_METADATA_ENTRIES, SubmitNotification
from shared.domain.errors import MAX_FIELD_ERRORS
from tests.fakes.world import a_body

SECRET = "geheim-4711"
ROUTING = {"strategy": "fallback", "order": ["email", "sms"]}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in a_body().items() if key != name}


def _content(**parts: Any) -> dict[str, Any]:
    return a_body(content=parts)


def _recipient(**parts: Any) -> dict[str, Any]:
    return a_body(recipient=parts)


def _routing(**parts: Any) -> dict[str, Any]:
    return a_body(channels=None, routing=ROUTING | parts)


MALFORMED: list[tuple[str, Any, str]] = [
    ("no body", None, ""),
    ("a list", [], ""),
    ("a text", "x", ""),
    ("no recipient", _without("recipient"), "/recipient"),
    ("recipient is a text", a_body(recipient="ada"), "/recipient"),
    ("neither channels nor routing", _without("channels"), "/channels"),
    ("both channels and routing", a_body(routing=ROUTING), "/channels"),
    ("an unknown strategy", _routing(strategy="race"), "/routing/strategy"),
    ("no strategy", a_body(channels=None, routing={"order": ["email", "sms"]}), "/routing/strategy"),
    ("nothing to fall back to", _routing(order=["email"]), "/routing/order"),
    ("an endless order", _routing(order=["email"] * 9), "/routing/order"),
    ("an unknown channel in turn", _routing(order=["email", "pigeon"]), "/routing/order/1"),
    ("no time at all", _routing(deadlineSeconds=0), "/routing/deadlineSeconds"),
    ("more than a day", _routing(deadlineSeconds=86_401), "/routing/deadlineSeconds"),
    ("a time that is a text", _routing(deadlineSeconds="60"), "/routing/deadlineSeconds"),
    ("half a second", _routing(deadlineSeconds=0.5), "/routing/deadlineSeconds"),
    ("a misspelt deadline", _routing(deadline=60), "/routing/deadline"),
    ("channels is a text", a_body(channels="email"), "/channels"),
    ("no channel", a_body(channels=[]), "/channels"),
    ("too many channels", a_body(channels=["email"] * 9), "/channels"),
    ("an unknown channel", a_body(channels=["email", "pigeon"]), "/channels/1"),
    ("a channel that is a number", a_body(channels=[1]), "/channels/0"),
    ("a misspelt option", a_body(sendat="2026-11-25T00:00:00Z"), "/sendat"),
    ("a field in snake case", a_body(send_at="2026-11-25T00:00:00Z"), "/send_at"),
    ("a misspelt address", _recipient(mail="a@b.de"), "/recipient/mail"),
    ("an address that is a number", _recipient(email=7), "/recipient/email"),
    ("an address that is empty", _recipient(email=""), "/recipient/email"),
    ("an address that is endless", _recipient(email="a" * 321), "/recipient/email"),
    ("a phone that is endless", _recipient(phone="1" * 33), "/recipient/phone"),
    ("a customer with a line break", _recipient(customerId="a\nb"), "/recipient/customerId"),
    ("a customer with a bidirectional mark", _recipient(customerId="a\u202eb"), "/recipient/customerId"),
    ("an unknown platform", _recipient(deviceTokens=[{"platform": "wns", "token": "t"}]),
     "/recipient/deviceTokens/0/platform"),
    ("a device without a token", _recipient(deviceTokens=[{"platform": "fcm"}]), "/recipient/deviceTokens/0/token"),
    ("too many devices", _recipient(deviceTokens=[{"platform": "fcm", "token": "t"}] * (MAX_DEVICES + 1)),
     "/recipient/deviceTokens"),
    ("neither template nor content", _without("content"), ""),
    ("both template and content", a_body(template={"id": "welcome"}), ""),
    ("a template without an id", a_body(content=None, template={}), "/template/id"),
    ("a template outside its folder", a_body(content=None, template={"id": "../etc"}), "/template/id"),
    ("a template version that is none", a_body(content=None, template={"id": "a", "version": "1"}),
     "/template/version"),
    ("a locale that is a path", a_body(content=None, template={"id": "a", "locale": "de/../en"}), "/template/locale"),
    ("an email without a body", _content(email={"subject": "s"}), "/content/email"),
    ("an email without a subject", _content(email={"text": "t"}), "/content/email/subject"),
    ("a subject with a line break", _content(email={"subject": "a\r\nBcc: x", "text": "t"}), "/content/email/subject"),
    ("an empty text", _content(sms={"text": ""}), "/content/sms/text"),
    ("an unknown content", _content(fax={"text": "t"}), "/content/fax"),
    ("a push without a body", _content(push={"title": "t"}), "/content/push/body"),
    ("push data that is nested", _content(push={"title": "t", "body": "b", "data": {"a": {}}}),
     "/content/push/data/a"),
    ("a webhook that is a list", _content(webhook=[]), "/content/webhook"),
    ("data that is a list", a_body(data=[]), "/data"),
    ("an endless integer", a_body(data={"n": 2**63}), "/data"),
    ("an unknown priority", a_body(priority="urgent"), "/priority"),
    ("an unknown category", a_body(category="spam"), "/category"),
    ("a reference with a tab", a_body(reference="a\tb"), "/reference"),
    ("an endless reference", a_body(reference="r" * 129), "/reference"),
    ("an empty correlation id", a_body(correlationId=""), "/correlationId"),
    ("a time without a zone", a_body(sendAt="2026-11-25T00:00:00"), "/sendAt"),
    ("a time that is none", a_body(sendAt="tomorrow"), "/sendAt"),
    ("a time outside the calendar", a_body(expiresAt="9999-12-31T23:59:59-14:00"), "/expiresAt"),
    ("a time before the calendar", a_body(sendAt="0001-01-01T00:00:00+14:00"), "/sendAt"),
    ("metadata that is nested", a_body(metadata={"a": {"b": "c"}}), "/metadata/a"),
    ("metadata with an empty name", a_body(metadata={"": "c"}), "/metadata/"),
    ("too much metadata", a_body(metadata={str(n): "x" for n in range(MAX_METADATA_ENTRIES + 1)}), "/metadata"),
    ("a name with a slash", a_body(metadata={"a/b~c": ""}), "/metadata/a~1b~0c"),
]  # fmt: skip

UNREADABLE = [
    b"", b"{", b"\xff\xfe", b"nul", b'{"a": }', b"{'a': 1}", b'{"channels": ["email",]}', b"[" * 10_000,
    b'{"data": {"x": "\\ud800"}}', b"\xef\xbb\xbf{}", b"<xml/>",
]  # fmt: skip


def _pointers(body: bytes) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        SubmitNotification.model_validate_json(body)
    return [error.pointer for error in field_errors(refused.value)]


@pytest.mark.parametrize(("body", "pointer"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_a_malformed_body_is_refused_at_the_field_that_is_wrong(body: Any, pointer: str) -> None:
    assert _pointers(json.dumps(body).encode()) == [pointer]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_is_not_json_is_refused_as_a_whole(body: bytes) -> None:
    assert _pointers(body) == [""]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "123456789012345678901234567890"])
@pytest.mark.parametrize("place", ['{"n": %s}', '{"deep": [{"n": %s}]}'])
def test_numbers_that_json_does_not_have_are_refused_wherever_they_hide(number: str, place: str) -> None:
    hidden = place % number
    body = json.dumps(a_body(data="?")).replace('"?"', hidden)
    webhook = json.dumps(a_body(content={"webhook": "?"})).replace('"?"', hidden)

    assert _pointers(body.encode()) == ["/data"]
    assert _pointers(webhook.encode()) == ["/content/webhook"]


def test_ordinary_numbers_pass() -> None:
    numbers = {"a": 2**63 - 1, "b": -(2**63) + 1, "c": 1.5e300, "d": True, "e": None, "f": [0, -0.0]}

    assert SubmitNotification.model_validate_json(json.dumps(a_body(data=numbers))).data == numbers


def test_every_wrong_field_is_named_and_not_more_than_fifty() -> None:
    many = a_body(channels=["pigeon", "owl"], priority="urgent", recipient={"email": 7, "fax": 1})

    assert set(_pointers(json.dumps(many).encode())) == {
        "/channels/0", "/channels/1", "/priority", "/recipient/email", "/recipient/fax",
    }  # fmt: skip
    flood = a_body(**{f"field{n}": n for n in range(500)})
    assert len(_pointers(json.dumps(flood).encode())) == MAX_FIELD_ERRORS


@contextmanager
def telling(told: list[str]) -> Iterator[None]:
    """Collects what a refusal would tell the consumer."""
    try:
        yield
    except ValidationError as error:
        told += [f"{each.pointer} {each.detail}" for each in field_errors(error)]
        raise


def _with_secret(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_secret(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_secret(part) for part in value]
    return SECRET


@pytest.mark.parametrize("name", list(a_body(priority="x", category="x", sendAt="x", metadata={"a": "b"}, data={})))
@pytest.mark.parametrize("shape", [lambda value: SECRET, lambda value: [SECRET], lambda value: {SECRET[:3]: [SECRET]}])
def test_errors_never_repeat_the_value(name: str, shape: Any) -> None:
    body = a_body(**{name: shape(a_body().get(name))})
    told: list[str] = []

    with suppress(ValidationError), telling(told):
        SubmitNotification.model_validate_json(json.dumps(body))

    assert SECRET not in "".join(told)


def test_values_that_are_wrong_everywhere_are_never_repeated() -> None:
    body = _with_secret(a_body(template={"id": "x"}, priority="x", sendAt="x", metadata={"m": "x"}))

    with pytest.raises(ValidationError) as refused:
        SubmitNotification.model_validate_json(json.dumps(body))

    told = json.dumps([(each.pointer, each.detail) for each in field_errors(refused.value)])
    assert SECRET not in told
    assert len(field_errors(refused.value)) >= 3


def test_pointers_follow_rfc_6901() -> None:
    assert pointer_to(()) == ""
    assert pointer_to(("a", 0, "b/c", "~")) == "/a/0/b~1c/~0"
