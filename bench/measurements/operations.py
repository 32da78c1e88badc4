"""Messages on the bus for one notification: sent, received, settled.

The broker counts depths, not sends, so an audit subscription that takes a copy of everything is added to each topic
(only in this measurement). The load is calm: under a heavier one status events of several notifications share messages.
"""

import json
from dataclasses import replace
from pathlib import Path

from bench.counters import depth_of
from bench.figures import Section
from bench.load_plan import Stream
from bench.measurements.delivery import ITEMS, warm_up
from bench.observation import Bench
from bench.stack import ROOT, Stack, StackOptions, running_stack

_AUDIT = "bench-audit"
_TOPOLOGY = ROOT / "local_azure/topology/servicebus.json"
_TOPICS = ("notifications-submitted", "notifications-status")


def audited(topology: str) -> str:
    """The broker's topology (JSON) with an audit subscription on each topic."""
    document = json.loads(topology)
    for namespace in document["UserConfig"]["Namespaces"]:
        for topic in namespace["Topics"]:
            properties = topic["Subscriptions"][0]["Properties"]
            topic["Subscriptions"].append({"Name": _AUDIT, "Properties": properties, "Rules": []})
    return json.dumps(document)


def measure(bench: Bench, options: StackOptions) -> None:
    options.data.mkdir(parents=True, exist_ok=True)
    config: Path = options.data / "audited-servicebus.json"
    config.write_text(audited(_TOPOLOGY.read_text()))
    with running_stack(replace(options, servicebus_config=config, audit=_AUDIT)) as stack:
        warm_up(bench, stack)
        with bench.section("Bus messages for one notification") as section:
            _count(bench, stack, section, "single", Stream("singles", count=200, connections=2))
            _count(bench, stack, section, "batch", Stream("batches", count=3, connections=1, batch_items=ITEMS))


def _count(bench: Bench, stack: Stack, section: Section, lane: str, stream: Stream) -> None:
    before = _sent(stack)
    seen = bench.observe(stack, stream)
    sent = {topic: count - before[topic] for topic, count in _sent(stack).items()}
    received = seen.counters.messages_received
    section.add(f"messages sent a notification, {lane}", "1", [sum(sent.values()) / seen.delivered])
    section.add(f"messages received and settled a notification, {lane}", "1", [received / seen.delivered])
    section.tables[f"Sent a notification, {lane}"] = {
        topic: {"messages": count / seen.delivered} for topic, count in sent.items()
    }


def _sent(stack: Stack) -> dict[str, int]:
    entities = stack.entities()
    return {topic: depth_of(entities, topic, _AUDIT) for topic in _TOPICS}
