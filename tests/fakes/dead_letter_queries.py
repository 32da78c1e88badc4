"""What Cosmos DB answers to the queries about dead letters and replays: by their text, over plain documents."""

import re
from collections.abc import Iterable
from typing import Any

from shared.adapters import cosmos_queries

_EQUAL = re.compile(r" AND c\.([\w.]+) = (@\w+)")


def is_about_dead_letters(query: str) -> bool:
    return "c.type = 'dead-letter'" in query or "c.type = 'replay'" in query


def select(query: str, values: dict[str, Any], documents: Iterable[dict[str, Any]]) -> list[Any]:
    if "c.type = 'replay'" in query:
        return _replays(query, values, documents)
    conditions = [(path.split("."), values[name]) for path, name in _EQUAL.findall(query)]
    found = [
        document
        for document in documents
        if document["type"] == "dead-letter"
        and values["@since"] <= document["position"] < values["@until"]
        and values.get("@first", "") <= document["day"] <= values.get("@last", "~")
        and all(_value(document, path) == value for path, value in conditions)
        and ("@takenBy" not in values or _is_open_or_taken_by(document, values["@takenBy"]))
    ]
    if "COUNT(1)" in query:
        return [len(found)]
    is_reversed = query.endswith(cosmos_queries.NEWEST_FIRST)
    return sorted(found, key=lambda document: document["position"], reverse=is_reversed)[: values["@limit"]]


def _is_open_or_taken_by(document: dict[str, Any], replay_id: str) -> bool:
    return document["state"] == "open" or document["replay"]["id"] == replay_id


def _replays(query: str, values: dict[str, Any], documents: Iterable[dict[str, Any]]) -> list[Any]:
    replays = [document for document in documents if document["type"] == "replay"]
    if query == cosmos_queries.RUNNING_REPLAYS:
        return [replay for replay in replays if replay["state"] == "running"]
    return sorted(replays, key=lambda replay: replay["orderedAt"], reverse=True)[: values["@limit"]]


def _value(document: Any, path: list[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document
