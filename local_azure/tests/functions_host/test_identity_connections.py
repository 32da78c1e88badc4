"""Identity-based connections: the real clients get azure-identity's default credential and the endpoint, no key."""

from azure.identity.aio import DefaultAzureCredential

from local_azure.functions_host import cosmos_source, servicebus_connection
from local_azure.functions_host.function_table import Binding

BUS = {"BUS__fullyQualifiedNamespace": "orders.servicebus.windows.net"}
STORE = {"STORE__accountEndpoint": "https://orders.documents.azure.com:443/"}


def trigger(kind: str, **fields: str) -> Binding:
    return Binding(kind, "x", "IN", fields)


async def test_a_service_bus_trigger_connects_with_the_machines_identity():
    entity = servicebus_connection.read_entity(trigger("serviceBusTrigger", connection="BUS", queueName="q"), BUS)

    async with servicebus_connection.make_client(entity.connection) as client:
        assert client.fully_qualified_namespace == "orders.servicebus.windows.net"
        assert isinstance(client._credential, DefaultAzureCredential)


async def test_a_cosmos_trigger_connects_with_the_machines_identity_for_feed_and_leases():
    fields = {"connection": "STORE", "databaseName": "shop", "containerName": "items"}
    read = cosmos_source.read_trigger(trigger("cosmosDBTrigger", **fields), STORE)

    for connection in (read.connection, read.lease_connection):
        client = cosmos_source.make_client(connection)
        assert client.client_connection.url_connection == "https://orders.documents.azure.com:443/"
        assert isinstance(client.client_connection.aad_credentials, DefaultAzureCredential)
        assert not client.client_connection.master_key


async def test_a_client_id_chooses_the_user_assigned_identity():
    entity = servicebus_connection.read_entity(
        trigger("serviceBusTrigger", connection="BUS", queueName="q"), {**BUS, "BUS__clientId": "the-client"}
    )

    async with servicebus_connection.make_client(entity.connection) as client:
        default = servicebus_connection.make_client(
            servicebus_connection.read_entity(
                trigger("serviceBusTrigger", connection="BUS", queueName="q"), BUS
            ).connection
        )
        assert entity.connection.client_id == "the-client"
        assert isinstance(client._credential, DefaultAzureCredential)
        assert client._credential is not default._credential


async def test_a_connection_string_wins_over_an_identity():
    both = {**BUS, "BUS": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=a;SharedAccessKey=SAS_KEY_VALUE;"}
    entity = servicebus_connection.read_entity(trigger("serviceBusTrigger", connection="BUS", queueName="q"), both)

    assert entity.connection.endpoint is None
    assert entity.connection.connection_string == both["BUS"]
