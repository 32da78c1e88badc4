"""The status document of an instance, as the extension's ``StatusResponsePayload``."""

from typing import Any

from local_azure.functions_host.durable.history_view import history_view
from local_azure.functions_host.durable.instance import Instance
from local_azure.functions_host.durable.json_text import loads


def status_document(
    instance: Instance, *, show_input: bool, history: list[str] | None = None, show_output: bool = False
) -> dict[str, Any]:
    """The document; instants to the second, as the extension writes them."""
    return {
        "name": instance.name,
        "instanceId": instance.id,
        "runtimeStatus": instance.status,
        "input": loads(instance.input) if show_input else None,
        "customStatus": loads(instance.custom_status),
        "output": loads(instance.output),
        "createdTime": f"{instance.created[:19]}Z",
        "lastUpdatedTime": f"{instance.updated[:19]}Z",
        "historyEvents": None if history is None else history_view(history, show_output=show_output),
    }
