"""Topics, subscriptions and their rules, by what arrives where."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage

from local_azure.servicebus.filters import FilterError, sql_filter
from local_azure.servicebus.message import Content
from local_azure.servicebus.testing import correlation, queue, sql, subscription, topic, topology
from local_azure.servicebus.topology import TopologyError, load_topology, parse_duration_ms, parse_topology

SYSTEM = {
    "MessageId": "message_id",
    "CorrelationId": "correlation_id",
    "Label": "subject",
    "To": "to",
    "ReplyTo": "reply_to",
    "ContentType": "content_type",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
}


@pytest.fixture
def arrived():
    """The texts in a subscription of topic `t`."""

    async def texts(client, name):
        async with client.get_subscription_receiver("t", name) as receiver:
            return [str(message) for message in await receiver.peek_messages(50, sequence_number=1)]

    return texts


async def test_every_system_property_can_correlate(emulate, connect, arrived):
    subscriptions = [subscription(name, correlation(**{name: "yes"})) for name in SYSTEM]
    client = connect(await emulate(topics=[topic("t", *subscriptions)]))
    async with client.get_topic_sender("t") as sender:
        await sender.send_messages(ServiceBusMessage("plain"))
        for name, argument in SYSTEM.items():
            await sender.send_messages(ServiceBusMessage(name, **{argument: "yes"}))
            await sender.send_messages(ServiceBusMessage(name, **{argument: "YES"}))
    for name in SYSTEM:
        assert await arrived(client, name) == [name]


async def test_correlation_wants_all_properties_and_tells_true_from_one(emulate, connect, arrived):
    both = correlation(Label="a", Properties={"n": 1})
    client = connect(await emulate(topics=[topic("t", subscription("s", both))]))
    async with client.get_topic_sender("t") as sender:
        for subject, number in (("a", 1), ("a", 2), ("b", 1), ("a", True)):
            message = ServiceBusMessage(f"{subject}{number}", subject=subject, application_properties={"n": number})
            await sender.send_messages(message)
    assert await arrived(client, "s") == ["a1"]


async def test_a_message_that_several_rules_match_arrives_once(emulate, connect, arrived):
    rules = (sql("n > 0"), sql("n > 1"), correlation(Properties={"n": 2}))
    client = connect(await emulate(topics=[topic("t", subscription("s", *rules), subscription("all"))]))
    async with client.get_topic_sender("t") as sender:
        await sender.send_messages(ServiceBusMessage("x", application_properties={"n": 2}))
        await sender.send_messages(ServiceBusMessage("y"))
    assert await arrived(client, "s") == ["x"]
    assert await arrived(client, "all") == ["x", "y"]


async def test_scheduled_message_is_fanned_out_when_due_and_can_be_cancelled(emulate, connect, arrived):
    emulator = await emulate(topics=[topic("t", subscription("s"))])
    client = connect(emulator)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    async with client.get_topic_sender("t") as sender:
        numbers = await sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], soon)
        await sender.cancel_scheduled_messages(numbers[0])
        assert await arrived(client, "s") == []
        emulator.clock.advance(61)
        assert await arrived(client, "s") == ["b"]


async def test_topic_drops_duplicates_before_the_fan_out(emulate, connect, arrived):
    client = connect(await emulate(topics=[topic("t", subscription("s"), RequiresDuplicateDetection=True)]))
    async with client.get_topic_sender("t") as sender:
        for text in ("1", "2"):
            await sender.send_messages(ServiceBusMessage(text, message_id="same"))
    assert await arrived(client, "s") == ["1"]


async def test_topology_of_the_repository_is_served(emulate, connect):
    path = pytest.importorskip("pathlib").Path(__file__).parents[2] / "topology" / "servicebus.json"
    served = load_topology(path)
    assert {item.name for item in served.topics} >= {"notifications-submitted", "notifications-status"}


async def test_forwarding_moves_messages_on_and_ends_after_four_hops(emulate, connect):
    chain = [queue(f"q{number}", ForwardTo=f"q{number + 1}") for number in range(6)]
    emulator = await emulate(
        queues=[queue("end"), queue("start", ForwardTo="end"), *chain, queue("q6")],
        topics=[topic("t", subscription("s", ForwardTo="end"))],
    )
    client = connect(emulator)
    for sender in (client.get_queue_sender("start"), client.get_topic_sender("t"), client.get_queue_sender("q0")):
        async with sender:
            await sender.send_messages(ServiceBusMessage("x"))
    async with client.get_queue_receiver("end") as receiver:
        assert len(await receiver.peek_messages(5)) == 2
    async with client.get_queue_receiver("q6") as receiver:
        assert await receiver.peek_messages(5) == []
    async with client.get_queue_receiver("q4", sub_queue="transferdeadletter") as receiver:
        (stuck,) = await receiver.peek_messages(5)
        assert stuck.dead_letter_reason == "MaxTransferHopCountExceeded"


async def test_dead_letters_are_forwarded_with_their_source(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q", ForwardDeadLetteredMessagesTo="dead"), queue("dead")])
    client = connect(emulator)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("x"))
        (got,) = await receive(receiver)
        await receiver.dead_letter_message(got, reason="why")
    async with client.get_queue_receiver("dead") as receiver:
        (got,) = await receive(receiver)
        assert (got.dead_letter_reason, got.dead_letter_source) == ("why", "q")


def _content(**properties):
    content = Content(bare=b"", properties_list=(None, None, None, "the label"))
    content.application_properties = properties
    return content


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("color = 'red'", True),
        ("COLOR = 'red'", True),
        ("color <> 'red'", False),
        ("user.color = 'red' AND sys.Label = 'the label'", True),
        ("[color] = 'red' OR missing = 1", True),
        ("missing = 1", False),
        ("NOT (missing = 1)", False),  # unknown stays unknown
        ("NOT (color = 'blue')", True),
        ("missing IS NULL", True),
        ("color IS NOT NULL AND EXISTS(color)", True),
        ("EXISTS(missing)", False),
        ("NOT EXISTS(missing)", True),
        ("color IN ('blue', 'red')", True),
        ("color NOT IN ('blue', 'green')", True),
        ("missing NOT IN ('blue')", False),
        ("color LIKE 'r%'", True),
        ("color LIKE '_ed' AND color NOT LIKE 'e%'", True),
        ("rate LIKE '100!%' ESCAPE '!'", True),
        ("n > 4 AND n <= 5 AND n + 1 = 6 AND n * 2 - 1 = 9 AND n / 2 = 2 AND n % 2 = 1", True),
        ("-n < 0", True),
        ("n / 0 = 1", False),
        ("n = '5'", False),  # of different kinds: unknown
        ("flag = TRUE", True),
        ("flag", True),
        ("flag = 1", False),
        ("ratio >= 0.5 AND ratio < 1e0", True),
        ("quote = 'it''s'", True),
        ("1 = 1", True),
        ("missing = 1 OR color = 'red'", True),
        ("missing = 1 AND color = 'red'", False),
    ],
)
def test_sql_condition(expression, expected):
    content = _content(color="red", n=5, flag=True, ratio=0.5, rate="100%", quote="it's")

    assert sql_filter(expression)(content) is expected


@pytest.mark.parametrize(
    "expression", ["", "color =", "= 'red'", "color LIKE", "a NOT b", "(a = 1", "a = 1)", "a ! b", "sys.Nothing = 1"]
)
def test_sql_that_does_not_parse_is_refused(expression):
    with pytest.raises(FilterError):
        sql_filter(expression)


def test_deep_sql_is_refused():
    with pytest.raises(FilterError):
        sql_filter("(" * 5000 + "a = 1" + ")" * 5000)


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("PT1M", 60_000), ("P14D", 1_209_600_000), ("PT0.5S", 500), ("P1DT2H3M4S", 93_784_000)]
)
def test_durations(text, milliseconds):
    assert parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "document",
    [
        {},
        topology(queues=[queue("a"), queue("A")]),
        topology(queues=[queue("a", ForwardTo="nowhere")]),
        topology(queues=[queue("a", LockDuration="soon")]),
        topology(topics=[topic("t", subscription("s", sql("a =")))]),
        topology(topics=[topic("t", subscription("s", correlation()))]),
        topology(topics=[topic("t", subscription("s", correlation(Nonsense="x")))]),
    ],
)
def test_wrong_topology_is_refused(document):
    with pytest.raises(TopologyError):
        parse_topology(document)
