"""Triggers over a world of fakes: the composition root hands out this test's services instead of the process's."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import azure.functions as func
import pytest

import functions
from tests.fakes.world import World

FUNCTION_MODULES = [f"functions.{module.name}" for module in pkgutil.iter_modules(functions.__path__)]
BOTH_ROLES = "Bearer shop/Notifications.Send,Notifications.Read"

Call = Callable[..., Awaitable[func.HttpResponse]]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    for name in FUNCTION_MODULES:
        module = importlib.import_module(name)
        if hasattr(module, "services"):
            monkeypatch.setattr(module, "services", lambda: world.services)
    return world


def trigger(builder: Any) -> Callable[..., Awaitable[Any]]:
    """The plain function behind a decorated one."""
    return builder._function.get_user_function()


@pytest.fixture
def call() -> Call:
    """Calls an HTTP trigger as the host would."""

    async def call(
        builder: Any,
        body: bytes = b"",
        *,
        token: str | None = BOTH_ROLES,
        headers: Mapping[str, str] | None = None,
        route: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        url: str = "/api/v1",
        **bindings: Any,
    ) -> func.HttpResponse:
        credentials = {"authorization": token} if token is not None else {}
        request = func.HttpRequest(
            method="POST",
            url=f"https://cns.example{url}",
            headers=credentials | dict(headers or {}),
            route_params=route,
            params=query,
            body=body,
        )
        function: Any = trigger(builder)
        if "client" in bindings:  # the function itself, without the binding that makes a durable client of a text
            function = function.client_function
        answer: func.HttpResponse = await function(request, **bindings)
        return answer

    return call
