"""Which mails share a call."""

import random

import orjson
import pytest

from shared.domain.address import EmailAddress, PhoneNumber
from shared.domain.content import EmailContent, RenderedText, SmsContent
from shared.domain.identifiers import AttemptId
from shared.ports import OutboundMessage
from shared.providers.mail_group import LONGEST_VALUE, describe_group, divide_mails

LIMIT, MAX_BYTES = 1000, 10_000


def mail(number: int, *, mailbox: str = "", subject: str = "Hello", text: str | None = None, html: str | None = None):
    content = EmailContent(subject, text, html)
    address = EmailAddress(mailbox or f"user{number}@example.com")
    return OutboundMessage(AttemptId(f"acme.{number}.email.1"), "email", address, content, "marketing")


def rendered(*pieces: str) -> RenderedText:
    return RenderedText.of(pieces)


def groups(messages, limit=LIMIT, max_bytes=MAX_BYTES):
    return sorted(map(sorted, divide_mails(messages, limit, max_bytes)))


def test_mails_of_one_template_go_together():
    messages = [mail(n, subject=f"Order {n}", text=rendered("Order ", str(n), " is here")) for n in range(50)]

    assert groups(messages) == [list(range(50))]


def test_a_group_has_its_limit():
    assert list(map(len, groups([mail(n, text="Hi") for n in range(25)], limit=10))) == [10, 10, 5]


def test_an_address_occurs_once_in_a_call_however_it_is_written():
    messages = [mail(0, mailbox="a@x.org", text="Hi"), mail(1, mailbox="A@X.org", text="Hi"), mail(2, text="Hi")]

    assert groups(messages) == [[0, 2], [1]]


@pytest.mark.parametrize(
    "other",
    [
        mail(1, text="Hi", html="<p>Hi</p>"),
        mail(1, html="Hi"),
        mail(1, text=rendered("H", "i")),
        mail(1, text="x" * (LONGEST_VALUE + 1)),
        mail(1, subject="", text="Hi"),
        OutboundMessage(AttemptId("a"), "sms", PhoneNumber("+4915112345678"), SmsContent("Hi"), "marketing"),
    ],
    ids=["another part", "only HTML", "another shape", "a long piece", "no subject", "another channel"],
)
def test_what_is_not_alike_goes_apart(other):
    assert groups([mail(0, text="Hi"), other]) == [[0], [1]]


def test_who_has_too_much_of_their_own_goes_alone():
    texts = ["short", *[" ".join(["long"] * 700)] * 2, "brief"]
    messages = [mail(n, text=rendered("Dear ", text), html=rendered(f"{n}", text)) for n, text in enumerate(texts)]

    assert groups(messages, max_bytes=3000) == [[0, 3], [1], [2]]


def test_the_subject_counts_among_ones_own():
    messages = [mail(0, subject="x" * 200, text="Hi"), mail(1, text="Hi"), mail(2, text="Hi")]

    assert groups(messages, max_bytes=100) == [[0], [1, 2]]


def test_every_message_is_in_exactly_one_group():
    draw = random.Random(1)
    messages = [
        mail(n, mailbox=f"u{draw.randrange(20)}@x.org", text=rendered(*map(str, range(draw.randrange(1, 4))), str(n)))
        for n in range(200)
    ]

    divided = divide_mails(messages, 30, MAX_BYTES)

    assert sorted(index for group in divided for index in group) == list(range(200))
    for group in divided:
        assert len({messages[index].address for index in group}) == len(group) <= 30


def test_a_call_says_what_all_share_and_what_each_has():
    messages = [mail(n, text=rendered("Order ", str(n), "."), html="<p>Hi</p>") for n in range(2)]

    group = describe_group(messages)

    token = group.text.removeprefix("Order ").removesuffix(".")
    assert (group.subject, group.html) == ("Hello", "<p>Hi</p>")
    assert [orjson.loads(part.values) for part in group.parts] == [{token: "0"}, {token: "1"}]
    assert [part.attempt_id for part in group.parts] == ["acme.0.email.1", "acme.1.email.1"]


def test_subjects_that_differ_are_each_ones_own_and_one_line():
    group = describe_group([mail(0, subject="One\r\nBcc: x@y.z", text="Hi"), mail(1, subject="Two", text="Hi")])

    assert (group.subject, [part.subject for part in group.parts]) == (None, ["One Bcc: x@y.z", "Two"])
    assert [part.values for part in group.parts] == [b"", b""]
