"""Plain values from the wire → the datums that the official converters decode, and back.

Takes the payload tuple of an ``invoke`` frame (section 2.2 of the protocol notes lists what each trigger's converter
expects), gives ``(inputs, trigger_metadata)`` for the runtime; turns the runtime's result into plain values again.
Runs in the worker for every invocation, so it favours speed: nothing is parsed that the converter does not ask for.
"""

from typing import Any

from azure_functions_runtime.bindings.datumdef import Datum

Inputs = list[tuple[str, Any]]
Metadata = dict[str, Any]


class _Collection:
    """What protobuf's collection types look like to the converters."""

    __slots__ = ("bytes", "sint64", "string")

    def __init__(self, values: list[Any]) -> None:
        self.bytes = self.string = self.sint64 = values


def http_inputs(payload: tuple[Any, ...]) -> tuple[Inputs, Metadata]:
    name, method, url, headers, route_params, query, body = payload
    value = {
        "method": Datum(method, "string"),
        "url": Datum(url, "string"),
        "headers": {key: Datum(text, "string") for key, text in headers.items()},
        "params": {key: Datum(text, "string") for key, text in route_params.items()},
        "query": {key: Datum(text, "string") for key, text in query.items()},
        "body": Datum(body, "bytes"),
    }
    return [(name, Datum(value, "http"))], {}


def text_inputs(payload: tuple[Any, ...]) -> tuple[Inputs, Metadata]:
    name, datum_type, text = payload
    return [(name, Datum(text, datum_type))], {}


def message_inputs(payload: tuple[Any, ...]) -> tuple[Inputs, Metadata]:
    name, body, fields = payload
    metadata = {key: Datum(value, datum_type) for key, (datum_type, value) in fields.items()}
    return [(name, Datum(body, "bytes"))], metadata


def messages_inputs(payload: tuple[Any, ...]) -> tuple[Inputs, Metadata]:
    name, bodies, arrays, properties, properties_json = payload
    metadata: Metadata = {
        key: Datum(_Collection(values), "collection_string") for key, values in arrays.items() if any(values)
    }
    # The converter counts the messages by parsing this one as JSON; it parses JSON arrays again for every message, so
    # all others are collections.
    metadata["UserPropertiesArray"] = Datum(properties_json, "json")
    metadata["ApplicationPropertiesArray"] = Datum(_Collection(properties), "collection_string")
    return [(name, Datum(_Collection(bodies), "collection_bytes"))], metadata


READERS = {"http": http_inputs, "text": text_inputs, "message": message_inputs, "messages": messages_inputs}


def plain_output(datum: Any) -> tuple[Any, ...] | None:
    """``None``, ``("http", status, headers, cookies, body)`` or ``(datum type, value)``."""
    if datum is None or datum.type is None:
        return None
    if datum.type != "http":
        return (datum.type, datum.value)
    value = datum.value
    cookies = [morsel.OutputString() for jar in value.get("cookies") or [] for morsel in jar.values()]
    headers = [(name, header.value) for name, header in value["headers"].items()]
    return ("http", int(value["status_code"].value), headers, cookies, value["body"].value)
