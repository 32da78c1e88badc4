"""The addresses of the extension's HTTP API: the durableClient binding's payload and the links of an instance.

Shapes: the Durable extension's ``HttpApiHandler`` (GetClientResponseLinks, GetInstanceCreationLinks); read by
azure-functions-durable 1.7.0, ``DurableOrchestrationBindings``.
"""

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from local_azure.functions_host.durable.json_text import dumps

PUBLIC_PATH = "/runtime/webhooks/durabletask"
_PLACEHOLDER = "INSTANCEID"
_CONNECTION = "Storage"


@dataclass(frozen=True)
class Links:
    """The addresses of one task hub."""

    public_base_url: str
    rpc_base_url: str
    task_hub: str
    system_key: str

    @property
    def rpc_path(self) -> str:
        return urlsplit(self.rpc_base_url).path.rstrip("/")

    def of_instance(self, instance_id: str, *, origin: str | None = None) -> dict[str, str]:
        """An instance's management links, under the given origin or the public one."""
        base = f"{(origin or self.public_base_url).rstrip('/')}{PUBLIC_PATH}/instances/{quote(instance_id, safe='')}"
        query = f"taskHub={quote(self.task_hub)}&connection={_CONNECTION}&code={quote(self.system_key)}"
        with_reason = {
            f"{operation}PostUri": f"{base}/{operation}?reason={{text}}&{query}"
            for operation in ("terminate", "rewind", "suspend", "resume")
        }
        return {
            "id": instance_id,
            "statusQueryGetUri": f"{base}?{query}",
            "sendEventPostUri": f"{base}/raiseEvent/{{eventName}}?{query}",
            "purgeHistoryDeleteUri": f"{base}?{query}",
            "restartPostUri": f"{base}/restart?{query}",
            **with_reason,
        }

    def client_payload(self) -> str:
        """The durableClient binding's JSON; the SDK calls ``rpcBaseUrl`` itself and hands out the other addresses."""
        base = f"{self.public_base_url.rstrip('/')}{PUBLIC_PATH}"
        code = f"code={quote(self.system_key)}"
        create = f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]"
        payload = {
            "taskHubName": self.task_hub,
            "creationUrls": {
                "createNewInstancePostUri": f"{create}?{code}",
                "createAndWaitOnNewInstancePostUri": (
                    f"{create}?timeout={{timeoutInSeconds}}&pollingInterval={{intervalInSeconds}}&{code}"
                ),
            },
            "managementUrls": self.of_instance(_PLACEHOLDER),
            "baseUrl": base,
            "requiredQueryStringParameters": code,
            "rpcBaseUrl": f"{self.rpc_base_url.rstrip('/')}/",
        }
        return dumps(payload)
