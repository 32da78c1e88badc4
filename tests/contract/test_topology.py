"""The bus has exactly the subscriptions that the channels need; a channel without one would lose its messages."""

import json
from datetime import timedelta
from pathlib import Path

from shared.channels import CHANNELS
from shared.domain.notification import Lane
from shared.pipeline.services import CALLBACKS, DEAD_LETTERS, SUBMITTED, UNDELIVERED, Patience

TOPOLOGY = Path(__file__).parents[2] / "local_azure" / "topology" / "servicebus.json"


def test_every_channel_and_lane_has_a_subscription_that_filters_for_it_and_there_is_no_other() -> None:
    [namespace] = json.loads(TOPOLOGY.read_text("utf-8"))["UserConfig"]["Namespaces"]
    [topic] = [topic for topic in namespace["Topics"] if topic["Name"] == SUBMITTED]

    found = {
        subscription["Name"]: [rule["Properties"]["CorrelationFilter"]["Properties"] for rule in subscription["Rules"]]
        for subscription in topic["Subscriptions"]
    }

    assert found == {
        f"{channel}-{lane.value}": [{"channel": channel, "lane": lane.value}] for channel in CHANNELS for lane in Lane
    }


def test_whatever_the_broker_gives_up_on_is_forwarded_to_be_filed() -> None:
    [namespace] = json.loads(TOPOLOGY.read_text("utf-8"))["UserConfig"]["Namespaces"]
    queues = {queue["Name"]: queue["Properties"] for queue in namespace["Queues"]}
    subscriptions = [each["Properties"] for topic in namespace["Topics"] for each in topic["Subscriptions"]]

    forwarding = [*subscriptions, queues[CALLBACKS], queues[DEAD_LETTERS]]

    assert {each["ForwardDeadLetteredMessagesTo"] for each in forwarding} == {UNDELIVERED}
    assert queues[UNDELIVERED]["ForwardDeadLetteredMessagesTo"] == ""
    # Several subscriptions may give up on one message, which has one id.
    assert not queues[UNDELIVERED]["RequiresDuplicateDetection"]


def test_dead_letters_outlast_a_long_outage_of_the_store() -> None:
    [namespace] = json.loads(TOPOLOGY.read_text("utf-8"))["UserConfig"]["Namespaces"]
    queues = {queue["Name"]: queue["Properties"] for queue in namespace["Queues"]}

    deliveries = min(queues[name]["MaxDeliveryCount"] for name in (DEAD_LETTERS, UNDELIVERED))

    assert deliveries * Patience().store >= timedelta(hours=8)
