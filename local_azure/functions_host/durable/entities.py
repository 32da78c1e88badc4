"""Durable entities: takes operations for ``@name@key``, runs one batch per entity at a time, gives replies.

Spec: azure-functions-durable 1.7.0, ``Entity.handle`` and ``DurableEntityContext``. A batch is one transaction: new
state, consumed operations, and the replies in the callers' inboxes. Results come in the order of the batch. The SDK
sends no signals from entities, and there are no entity locks in its 1.x.
"""

import asyncio
import logging
import uuid
from typing import Any

from local_azure.functions_host.durable.decisions import EntityRequest
from local_azure.functions_host.durable.history import EventType, new_event
from local_azure.functions_host.durable.hub import ABORTED, Hub, pause_after_abort
from local_azure.functions_host.durable.instance import Message
from local_azure.functions_host.durable.json_text import dumps, loads
from local_azure.functions_host.durable.outcome import describe_failure
from local_azure.functions_host.durable.registry import Registry
from local_azure.functions_host.durable.store import add_message, put_entity, remove_messages
from local_azure.functions_host.durable.writer import Statement, StoreUnusable
from local_azure.functions_host.errors import InvocationFailed

logger = logging.getLogger(__name__)

_OPERATIONS_PER_BATCH = 100


class Entities:
    """The entities' mailboxes; at most ``limit`` batches at a time."""

    def __init__(self, hub: Hub, registry: Registry, *, limit: int) -> None:
        self._hub = hub
        self._registry = registry
        self._slots = asyncio.Semaphore(limit)
        self._mailboxes: dict[str, list[Message]] = {}

    def send(self, request: EntityRequest, *, caller: str | None = None, execution: str = "") -> list[Statement]:
        """Put an operation into the entity's mailbox; the batch that runs it is committed after the sender."""
        operation = {
            "name": request.operation,
            "input": request.input,
            "isSignal": request.is_signal,
            "id": request.request_id,
            "caller": caller,
            "execution": execution,
        }
        message = Message(operation, inbox_number=self._hub.store.next_number())
        self.adopt(request.entity_id, message)
        return [add_message(request.entity_id, message)]

    def adopt(self, entity_id: str, message: Message) -> None:
        """Take in an operation that is in the store already."""
        mailbox = self._mailboxes.get(entity_id)
        if mailbox is not None:
            mailbox.append(message)
            return
        self._mailboxes[entity_id] = [message]
        self._hub.spawn(self._run(entity_id))

    async def _run(self, entity_id: str) -> None:
        aborts = 0
        mailbox = self._mailboxes[entity_id]
        try:
            while mailbox:
                async with self._slots:
                    committed = await self._run_batch(entity_id, mailbox[:_OPERATIONS_PER_BATCH])
                if committed is None:
                    await pause_after_abort(aborts)
                    aborts += 1
                    continue
                aborts = 0
                await committed
        except StoreUnusable:
            logger.exception("an entity stops: its batch could not be stored")
        finally:
            self._mailboxes.pop(entity_id, None)

    async def _run_batch(self, entity_id: str, batch: list[Message]) -> asyncio.Future[None] | None:
        """The batch's commit, or None when the worker was lost and it must run again."""
        state = self._hub.store.entity_state(entity_id)
        try:
            reply = loads(await self._invoke(entity_id, state, batch))
            results, new_state = reply["results"], reply["entityState"] if reply["entityExists"] else None
        except ABORTED:
            logger.info("an entity lost its worker; its batch runs again", extra={"entity": entity_id})
            return None
        except InvocationFailed as error:
            results, new_state = _all_failed(batch, describe_failure(str(error))), state
        except Exception as error:
            logger.exception("an entity's batch could not be run", extra={"entity": entity_id})
            results, new_state = _all_failed(batch, repr(error)), state
        statements = [put_entity(entity_id, new_state, self._hub.now()), *remove_messages(batch)]
        for message, result in zip(batch, results, strict=False):
            statements += self._reply(message.event, result)
        mailbox = self._mailboxes[entity_id]
        del mailbox[: len(batch)]
        return self._hub.submit(statements)

    async def _invoke(self, entity_id: str, state: str | None, batch: list[Message]) -> str:
        _, name, key = entity_id.split("@", 2)
        operations = [{field: message.event[field] for field in ("name", "input", "isSignal")} for message in batch]
        payload = {
            "self": {"name": name, "key": key},
            "exists": state is not None,
            "state": state,
            "batch": operations,
        }
        return await self._hub.invoke("entity", self._hub.functions.entity(name) or name, dumps(payload))

    def _reply(self, operation: dict[str, Any], result: dict[str, Any]) -> list[Statement]:
        if operation["isSignal"] or operation["caller"] is None:
            return []
        content = {"result": result["result"]}
        if result["isError"]:
            content["exceptionType"] = "Exception"
        event = new_event(EventType.EVENT_RAISED, self._hub.now(), Name=operation["id"], Input=dumps(content))
        return self._registry.deliver(operation["caller"], operation["execution"], event)


def signal(entity_id: str, operation: str, token: str) -> EntityRequest:
    """A client's signal; ``token`` is the request's body."""
    return EntityRequest(entity_id, operation, token, is_signal=True, request_id=str(uuid.uuid4()))


def _all_failed(batch: list[Message], text: str) -> list[dict[str, Any]]:
    return [{"isError": True, "result": dumps(text)} for _ in batch]
