"""The bus has exactly the subscriptions that the channels need; a channel without one would lose its messages."""

import json
from pathlib import Path

from shared.channels import CHANNELS
from shared.domain.notification import Lane
from shared.pipeline.services import SUBMITTED

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
