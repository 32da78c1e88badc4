"""The Durable Functions engine of the local host."""

from local_azure.functions_host.durable.catalog import DurableFunctions
from local_azure.functions_host.durable.engine import DurableEngine

__all__ = ["DurableEngine", "DurableFunctions"]
